import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { S } from '../../../snapshotter/sys/constants.ts';
import { goMode, permissionsOf } from './go-mode.ts';

/** As io/fs of Go has them: ModeDir, ModeSymlink, ModeNamedPipe, ModeSocket, ModeDevice. */
test('the types of the kernel are those of Go', () => {
  assert.is(goMode(S.IFREG | 0o644), 0o644);
  assert.is(goMode(S.IFDIR | 0o755), 0x8000_01ed);
  assert.is(goMode(S.IFLNK | 0o777), 0x0800_01ff);
  assert.is(goMode(S.IFIFO | 0o600), 0x0200_0180);
  assert.is(goMode(S.IFSOCK | 0o600), 0x0100_0180);
  assert.is(goMode(S.IFBLK | 0o660), 0x0400_01b0);
  assert.is(goMode(S.IFCHR | 0o666), 0x0420_01b6, 'ModeDevice | ModeCharDevice');
});

test('permissions come back as they went', () => {
  for (const mode of [0o4755, 0o2755, 0o1777, 0o7000, 0o644])
    assert.is(permissionsOf(goMode(S.IFREG | mode)), mode);
});

test.run();
