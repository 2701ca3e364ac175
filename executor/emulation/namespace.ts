import { mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { launch } from '../../snapshotter/sys/launch.ts';
import { idRanges } from '../../snapshotter/sys/usernamespace.ts';
import { closeAll, drain, makePipe } from '../pipes.ts';
import { reap } from '../spawn.ts';

/**
 * A user namespace with its own binfmt_misc (Linux 6.7 and later). A registration in it holds only
 * for the sandboxes that join it. All ids are mapped to themselves. A shell holds the namespace,
 * and ends with this process.
 */
export interface EmulationNamespace {
  /** `/proc/PID/ns/user` */
  readonly path: string;
  /** Writes a line to the namespace's table. Returns false when the kernel refuses it. */
  register(line: string): Promise<boolean>;
  close(): Promise<void>;
}

const REGISTRAR = `
mount -t binfmt_misc binfmt_misc "$TABLE" 2>/dev/null || exit 1
echo ready
while IFS= read -r line; do
  if printf %s "$line" 2>/dev/null > "$TABLE/register"; then echo ok; else echo refused; fi
done
`;

/**
 * The ids are mapped after the shell has printed `made`. Only a program that starts after that has
 * the rights of root in the namespace.
 */
const SCRIPT = 'echo made; read -r _ && exec /bin/sh -c "$REGISTRAR"';

/**
 * Undefined where the kernel lacks this, or this process may not make it. `directory` belongs to
 * this process alone.
 */
export async function openEmulationNamespace(
  directory: string,
): Promise<EmulationNamespace | undefined> {
  const table = `${directory}/binfmt`;
  mkdirSync(table, { recursive: true, mode: 0o700 });
  const shell = startShell(table);
  const mapped = (await shell.answer()) === 'made' && mapIds(shell.pid);
  if (mapped) shell.tell('go');
  if (!mapped || (await shell.answer()) !== 'ready') {
    await shell.close();
    return undefined;
  }
  return {
    path: `/proc/${shell.pid}/ns/user`,
    async register(line) {
      shell.tell(line);
      return (await shell.answer()) === 'ok';
    },
    close: shell.close,
  };
}

interface Shell {
  readonly pid: number;
  tell(line: string): void;
  /**
   * The next line of the shell's output, or undefined when it has ended. Only one call may wait at
   * a time.
   */
  answer(): Promise<string | undefined>;
  readonly close: () => Promise<void>;
}

function startShell(table: string): Shell {
  const [input, output] = [makePipe(), makePipe()];
  const nothing = openSync('/dev/null', 'r+');
  const pid = launch({
    path: '/usr/bin/env',
    args: ['unshare', '--user', '--mount', '/bin/sh', '-c', SCRIPT],
    env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', `TABLE=${table}`, `REGISTRAR=${REGISTRAR}`],
    stdio: [input.read, output.write, nothing],
  });
  closeAll([input.read, output.write, nothing]);
  const lines = lineQueue();
  const over = drain(output.read, lines.push).finally(lines.end);
  over.catch(() => {});
  return {
    pid,
    tell: (line) => void writeSync(input.write, `${line}\n`),
    answer: lines.next,
    async close() {
      closeAll([input.write]);
      await reap(pid);
    },
  };
}

function lineQueue(): {
  push(data: Uint8Array): void;
  end(): void;
  next(): Promise<string | undefined>;
} {
  let text = '';
  let ended = false;
  let wake: (() => void) | undefined;
  return {
    push(data) {
      text += Buffer.from(data).toString('latin1');
      wake?.();
    },
    end() {
      ended = true;
      wake?.();
    },
    async next() {
      while (!text.includes('\n') && !ended) await new Promise<void>((resolve) => (wake = resolve));
      const end = text.indexOf('\n');
      if (end < 0) return undefined;
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      return line;
    },
  };
}

/** Maps every id of this process to itself. Returns false where that is not allowed. */
function mapIds(pid: number): boolean {
  try {
    for (const name of ['uid_map', 'gid_map'] as const)
      writeFileSync(`/proc/${pid}/${name}`, identityOf(name));
    return true;
  } catch {
    return false;
  }
}

function identityOf(name: 'uid_map' | 'gid_map'): string {
  return idRanges(name)
    .map(({ first, count }) => `${first} ${first} ${count}\n`)
    .join('');
}
