import { readFileSync } from 'node:fs';
import { statFields } from './proc.ts';

/** Milliseconds that a runtime has to make the sandbox before it is killed itself. */
const PATIENCE = 1000;
/** The same while a sandbox that was already killed still exists. */
const PATIENCE_WHILE_DYING = 10_000;
const INTERVAL = 5;

/**
 * Kills a sandbox whose runtime is the child `runtimePid`. It sends SIGKILL to the first process of
 * the pid namespace, and the kernel then kills all others. It waits for a sandbox that does not
 * exist yet, so that none can start later. Call the returned function when the runtime has ended.
 */
export function killSandbox(runtimePid: number, pidFile: string): () => void {
  const begin = performance.now();
  const strike = () => {
    const sandbox = initProcesses(runtimePid, pidFile);
    for (const pid of sandbox) kill(pid);
    // While a sandbox dies, its runtime waits for all of its processes. So the runtime is not
    // killed yet.
    const patience = sandbox.length === 0 ? PATIENCE : PATIENCE_WHILE_DYING;
    if (performance.now() - begin > patience) kill(runtimePid);
  };
  const timer = setInterval(strike, INTERVAL);
  strike();
  return () => clearInterval(timer);
}

/**
 * The first processes of the runtime's sandboxes: the one in the pid file, and those that the
 * kernel lists.
 */
function initProcesses(runtimePid: number, pidFile: string): readonly number[] {
  const children = read(`/proc/${runtimePid}/task/${runtimePid}/children`);
  return childrenAmong(`${read(pidFile)} ${children}`, runtimePid);
}

/** Sends a signal to the process that the runtime `runtimePid` has written to its pid file. */
export function signalProcess(runtimePid: number, pidFile: string, signal: number): void {
  for (const pid of childrenAmong(read(pidFile), runtimePid)) kill(pid, signal);
}

/** Only children of the runtime count, because a pid may belong to another process by now. */
function childrenAmong(text: string, runtimePid: number): readonly number[] {
  const pids = text.split(/\s+/).filter((word) => /^\d+$/.test(word));
  return [...new Set(pids.map(Number))].filter(
    (pid) => statFields(pid)?.[1] === String(runtimePid),
  );
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function kill(pid: number, signal: NodeJS.Signals | number = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has already ended.
  }
}
