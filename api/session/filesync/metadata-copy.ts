import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import { compilePattern, SplitPath } from '../../../base/pathpattern.ts';
import type { FileReceiver } from './diff-copy.ts';
import type { DirectoryCopy } from './directory-copy.ts';
import { isDirectoryStat } from './go-mode.ts';
import { type FileStat, statBytes } from './packet.ts';

/** The file in the copy that tells what the client has. */
const METADATA = '.fsutil-metadata';

/** What the client tells may be so long in all, in bytes. */
const MAX_METADATA = 512 << 20;

/**
 * Makes a copy of those files of a client's directory that match one of the patterns, with the
 * directories that they are in. Of all others it only tells, as BuildKit does: for each file of the
 * directory the length of its stat message (fsutil's `Stat`) in 32 bits, and the message.
 */
export class MetadataCopy implements FileReceiver {
  readonly #copy: DirectoryCopy;
  readonly #isWanted: (path: string) => boolean;
  readonly #messages: Uint8Array[] = [];
  #size = 0;
  /** The directories around the last file that are not made yet, outermost first. */
  #pending: { readonly stat: FileStat; readonly packet: Uint8Array }[] = [];

  /** `patterns` have the syntax of `.dockerignore`. Throws a ConnectError for one that has not. */
  constructor(copy: DirectoryCopy, patterns: readonly string[]) {
    this.#copy = copy;
    this.#isWanted = matcherOf(patterns);
  }

  file(stat: FileStat, packet: Uint8Array): 'wanted' | 'known' {
    if (stat.path === METADATA) return 'known';
    this.#tell(stat);
    this.#pending = this.#pending.filter(({ stat: { path } }) => stat.path.startsWith(`${path}/`));
    if (!this.#isWanted(stat.path)) {
      if (isDirectoryStat(stat)) this.#pending.push({ stat, packet });
      return 'known';
    }
    for (const one of this.#pending.splice(0)) this.#copy.file(one.stat, one.packet);
    return this.#copy.file(stat, packet);
  }

  /** The copy begins empty: there is nothing to be believed. */
  told(): Iterable<never> {
    this.#copy.told();
    return [];
  }

  data(stat: FileStat, bytes: Uint8Array): void {
    this.#copy.data(stat, bytes);
  }

  end(stat: FileStat): void {
    this.#copy.end(stat);
  }

  /** To be called when all has come. */
  finish(root: string): void {
    this.#copy.finish();
    writeFileSync(join(root, METADATA), Buffer.concat(this.#messages), { mode: 0o600 });
  }

  #tell(stat: FileStat): void {
    const message = statBytes(stat);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(message.byteLength);
    this.#messages.push(length, message);
    this.#size += length.byteLength + message.byteLength;
    if (this.#size > MAX_METADATA)
      throw new ConnectError('the client tells of too many files', Code.ResourceExhausted);
  }
}

/** True for a path that matches, or is in a directory that does. A `!` takes back earlier ones. */
function matcherOf(patterns: readonly string[]): (path: string) => boolean {
  const rules = patterns.map((pattern) => {
    const isTakenBack = pattern.startsWith('!');
    const test = compilePattern(isTakenBack ? pattern.slice(1) : pattern);
    if (test) return { test, isTakenBack };
    throw new ConnectError(
      `syntax error in pattern ${JSON.stringify(pattern)}`,
      Code.InvalidArgument,
    );
  });
  return (path) => {
    const names = path.split('/');
    const above = names.map((_, index) => new SplitPath(names.slice(0, index + 1).join('/')));
    return rules.reduce(
      (is, { test, isTakenBack }) => (above.some((one) => test.matches(one)) ? !isTakenBack : is),
      false,
    );
  };
}
