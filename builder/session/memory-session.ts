import { closeSync, mkdtempSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import { type LentDirectory, NO_AGENTS, type Session, type SessionAgents } from '../session.ts';

/** What a program lends from memory. */
export interface MemorySessionOptions {
  /** Directories by name: for each its files by their path, as text or bytes. */
  readonly directories?: Readonly<Record<string, Readonly<Record<string, string | Uint8Array>>>>;
  readonly secrets?: Readonly<Record<string, string | Uint8Array>>;
  readonly input?: Uint8Array;
  readonly ssh?: SessionAgents;
  readonly credentials?: Session['credentials'];
  readonly output?: Session['output'];
}

/**
 * A session over values. Directories are laid out in a temporary place when they are asked for, and
 * are gone when it is disposed.
 */
export function memorySession(lent: MemorySessionOptions): Session & Disposable {
  const places = new Map<string, string>();
  let input = lent.input;
  const layOut = (name: string): string => {
    const files = lent.directories?.[name];
    if (!files)
      throw new KilnError(
        'KILN_CONTEXT_NOT_FOUND',
        `the session lends no directory ${JSON.stringify(name)}`,
        {
          hint: 'name it in directories of the session',
        },
      );
    const top = mkdtempSync(join(tmpdir(), 'kiln-session-'));
    places.set(name, top);
    writeFiles(top, files);
    return top;
  };
  return {
    directory: (name): LentDirectory => ({
      path: places.get(name) ?? layOut(name),
      remembered: false,
    }),
    async file(path) {
      throw new KilnError(
        'KILN_DOCKERFILE_NOT_FOUND',
        `the session lends no file ${JSON.stringify(path)}`,
        {
          hint: 'name a file of the context, or give the text',
        },
      );
    },
    async input(max) {
      const bytes = Buffer.from(input ?? []);
      input = undefined;
      const limit = typeof max === 'number' ? max : max(bytes.subarray(0, 1024));
      return bytes.byteLength > limit ? undefined : bytes;
    },
    async secret(id) {
      const value = lent.secrets && Object.hasOwn(lent.secrets, id) ? lent.secrets[id] : undefined;
      return typeof value === 'string' ? Buffer.from(value) : value;
    },
    ssh: lent.ssh ?? NO_AGENTS,
    credentials: lent.credentials,
    output: lent.output,
    [Symbol.dispose]() {
      for (const place of places.values()) rmSync(place, { recursive: true, force: true });
      places.clear();
    },
  };
}

/**
 * Names of files are the program's, which may have them from anywhere: none leads out of the
 * directory.
 */
function writeFiles(top: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  using root = openRoot(top);
  for (const [path, content] of Object.entries(files)) {
    const parent = dirname(path);
    if (parent !== '.') root.mkdirAll(parent, 0o755);
    const fd = root.create(path, 0o644);
    try {
      for (let rest: Uint8Array = Buffer.from(content); rest.length > 0; )
        rest = rest.subarray(writeSync(fd, rest));
    } finally {
      closeSync(fd);
    }
  }
}
