import { closeSync, mkdtempSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import { type LentDirectory, NO_AGENTS, type Session, type SessionAgents } from '../session.ts';

/** The contents of a session in memory. */
export interface MemorySessionOptions {
  /** Directories by name. Each one maps the paths of its files to their text or bytes. */
  readonly directories?: Readonly<Record<string, Readonly<Record<string, string | Uint8Array>>>>;
  readonly secrets?: Readonly<Record<string, string | Uint8Array>>;
  readonly input?: Uint8Array;
  readonly ssh?: SessionAgents;
  readonly credentials?: Session['credentials'];
  readonly output?: Session['output'];
}

/**
 * Makes a session whose directories, secrets and input are values of the program. A directory is
 * written below the system's temporary directory when a build needs it. Disposing the session
 * removes it.
 */
export function memorySession(lent: MemorySessionOptions): Session & Disposable {
  const places = new Map<string, string>();
  let input = lent.input;
  const layOut = (name: string): string => {
    const files = lent.directories?.[name];
    if (!files)
      throw new KilnError(
        'KILN_CONTEXT_NOT_FOUND',
        `the session has no directory ${JSON.stringify(name)}`,
        {
          hint: 'add it to the directories of the session',
        },
      );
    const top = mkdtempSync(join(tmpdir(), 'kiln-session-'));
    places.set(name, top);
    writeFiles(top, files);
    return top;
  };
  return {
    directory: async (name): Promise<LentDirectory> => ({
      path: places.get(name) ?? layOut(name),
      remembered: false,
    }),
    placeOf: (name) => name,
    async file(path) {
      throw new KilnError(
        'KILN_DOCKERFILE_NOT_FOUND',
        `the session has no file ${JSON.stringify(path)}`,
        {
          hint: 'name a file of the context, or put the text of the Dockerfile into the request',
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
 * Writes the files of a directory. The program may have their names from an untrusted source, so
 * each path is resolved inside the directory.
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
