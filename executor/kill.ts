import { readFileSync } from 'node:fs';
import { statFields } from './proc.ts';

/** How long a runtime may take to make the sandbox that is to be killed before it is killed itself, in milliseconds. */
const PATIENCE = 1000;
/** The same while there is a sandbox that was struck already. */
const PATIENCE_WHILE_DYING = 10_000;
const INTERVAL = 5;

/**
 * Kills a sandbox whose runtime is the child `runtimePid`: SIGKILL to the first process of its pid namespace, with which the kernel
 * kills all others. A sandbox that is not there yet is waited for, so that it cannot come after. Call the result when the runtime
 * has ended.
 */
export function killSandbox(runtimePid: number, pidFile: string): () => void {
  const begin = performance.now();
  const strike = () => {
    const sandbox = initProcesses(runtimePid, pidFile);
    for (const pid of sandbox) kill(pid);
    // While a sandbox dies the runtime waits for all of it; without the runtime nobody would.
    const patience = sandbox.length === 0 ? PATIENCE : PATIENCE_WHILE_DYING;
    if (performance.now() - begin > patience) kill(runtimePid);
  };
  const timer = setInterval(strike, INTERVAL);
  strike();
  return () => clearInterval(timer);
}

/** The runtime's children: what it wrote down, and what the kernel knows. Only its children, as a number may be someone else's by now. */
function initProcesses(runtimePid: number, pidFile: string): readonly number[] {
  const written = read(pidFile);
  const children = read(`/proc/${runtimePid}/task/${runtimePid}/children`);
  const pids = `${written} ${children}`.split(/\s+/).filter((text) => /^\d+$/.test(text));
  return [...new Set(pids.map(Number))].filter((pid) => statFields(pid)?.[1] === String(runtimePid));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}
