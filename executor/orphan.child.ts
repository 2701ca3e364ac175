import { cgroupMode } from './enter-cgroups.ts';
import { specFor } from './fixture.ts';
import type { NetworkKind } from './network/network.ts';
import { createExecutor } from './runtime-executor.ts';

/**
 * For watchdog.test.ts: `node orphan.child.ts STATE_DIR ROOT MARK [NETWORK]` starts sandboxes that
 * sleep, and prints a line when all of them run.
 */
const [stateDir = '', root = '', mark = '', network = 'nat'] = process.argv.slice(2);
const SANDBOXES = 3;

const executor = createExecutor({ stateDir, networks: [network as NetworkKind] });
let ready = 0;
const output = () => {
  if (++ready === SANDBOXES) process.stdout.write('ready\n');
};
const script = `trap '' TERM HUP INT; sleep ${mark} & echo up; sleep ${mark}`;
// With limits each sandbox has control groups of its own, which must be removed later.
const limits = cgroupMode() === 'none' ? {} : { limits: { pids: 50 } };
const runs = Array.from({ length: SANDBOXES }, () =>
  executor.run(
    specFor(root, ['/bin/sh', '-c', script], limits),
    { output },
    new AbortController().signal,
  ),
);
await Promise.all(runs);
