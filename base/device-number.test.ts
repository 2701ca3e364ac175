import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deviceNumber } from './device-number.ts';

test('a device number is taken apart where its parts have more than 8 and 12 bits', () => {
  assert.equal(deviceNumber(0x103n), { major: 1, minor: 3 });
  assert.equal(deviceNumber(0x100a2cn), { major: 10, minor: 300 });
  // As glibc makes it of major 0x12345678 and minor 0x9abcdef0.
  assert.equal(deviceNumber(0x123459abcde678f0n), { major: 0x12345678, minor: 0x9abcdef0 });
});

test.run();
