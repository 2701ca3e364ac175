import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExecOp } from '../../llb/exec-op.ts';
import { allowedDevices } from './devices.ts';

const op = (name: string, optional = false) =>
  ({ cdiDevices: [{ name, optional }] }) as unknown as ExecOp;
const names = (name: string, ...allowed: string[]) =>
  allowedDevices(op(name), new Set(allowed)).map((request) => request.name);

test('a device is allowed by its name, by its kind, or by a rule for all devices', () => {
  for (const rule of ['device', 'device=a.com/gpu=0', 'device=a.com/gpu', 'device=a.com/gpu=*'])
    assert.equal(names('a.com/gpu=0', rule), ['a.com/gpu=0'], rule);
});

test('a device that no rule allows is refused, or left out if it is optional', () => {
  for (const rule of [
    'network.host',
    'device=a.com/gpu=1',
    'device=a.com/g',
    'devices',
    'device=b.com/gpu',
  ]) {
    assert.throws(() => names('a.com/gpu=0', rule), /does not allow/);
    assert.equal(allowedDevices(op('a.com/gpu=0', true), new Set([rule])), []);
  }
});

test('a device is allowed by the alias that the Dockerfile uses', () => {
  assert.equal(names('gpu', 'device=a.com/gpu=0,alias=gpu'), ['a.com/gpu=0']);
});

test.run();
