import { readdirSync } from 'node:fs';
import { mount } from '../snapshotter/sys/mount.ts';
import { enterPrivateMounts } from '../snapshotter/sys/namespace.ts';
import { shell } from './fixture.ts';
import { createExecutor } from './runtime-executor.ts';

/**
 * For cgroups.test.ts: `node unified.child.ts STATE_DIR ROOT` runs a sandbox as on a host with
 * cgroup v2 alone, and prints JSON.
 */
const [stateDir = '', root = ''] = process.argv.slice(2);
enterPrivateMounts();
mount('cgroup2', '/sys/fs/cgroup', 'cgroup2', 0);
const executor = createExecutor({ stateDir });
const script =
  'mknod /dev/disk b 7 0; head -c 1 /dev/disk && echo read; head -c 1 /dev/zero | wc -c; ' +
  'cat /proc/self/cgroup | tail -1';
const outcome = await shell(executor, root, script);
await executor[Symbol.asyncDispose]();
const left = readdirSync('/sys/fs/cgroup').filter((name) =>
  name.startsWith(`kiln-${process.pid}-`),
);
process.stdout.write(JSON.stringify({ ...outcome, left }));
