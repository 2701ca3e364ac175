import { createHash } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';
import { CancelledError, KilnError } from '../../base/errors.ts';
import { type Entry, fileIdentity, sameIdentity } from '../../cache/select/entry.ts';
import { fstat } from '../../snapshotter/sys/calls.ts';
import { O } from '../../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../../snapshotter/sys/rooted.ts';
import type { ExportContext } from '../exporter.ts';
import { targetName, walkTree } from '../result-tree.ts';
import type { BuiltTarget } from '../target.ts';
import { type Subject, statementText } from './statement.ts';

/** A statement in a file beside the files that it describes. */
export interface StatementFile {
  readonly name: string;
  readonly text: string;
}

/** Only the owner may read them, as with BuildKit. */
export const STATEMENT_MODE = 0o600;

/** How statements are named in an output that is a tree. */
export interface StatementNames {
  /** The value of `attestation-prefix`. */
  readonly prefix?: string | undefined;
  /** True when several platforms share a directory: each name then contains its platform. */
  readonly shared: boolean;
}

/**
 * The attestations of a target as files for the top of its tree `root` in the output, as BuildKit
 * writes them (docs/attestations/attestation-storage.md). Their subjects are all plain files of the
 * tree.
 */
export async function statementFiles(
  target: BuiltTarget,
  root: string,
  { attest, signal }: ExportContext,
  { prefix = '', shared }: StatementNames,
): Promise<readonly StatementFile[]> {
  const all = (await attest?.(target)) ?? [];
  const predicates = all.filter(({ inlineOnly }) => !inlineOnly);
  if (predicates.length === 0) return [];
  const subjects = await subjectsIn(root, signal);
  return predicates.map((predicate) => {
    const [stem, extension] = divided(predicate.fileName);
    const name = `${prefix}${stem}${shared ? `.${targetName(target)}` : ''}${extension}`;
    return { name, text: statementText(predicate, subjects) };
  });
}

/** All entries of the tree except those with the name of a statement; see `walkTree`. */
export function walkBeside(
  statements: readonly StatementFile[],
  root: string,
  wanted: (entry: Entry) => boolean = () => true,
): Entry[] {
  const taken = new Set(statements.map(({ name }) => name));
  return walkTree(root, (entry) => wanted(entry) && !taken.has(entry.path));
}

/** Splits a file name, for example into `sbom.spdx` and `.json`. */
function divided(name: string): [stem: string, extension: string] {
  const dot = name.lastIndexOf('.');
  return dot < 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot)];
}

async function subjectsIn(path: string, signal: AbortSignal): Promise<Subject[]> {
  using root = openRoot(path);
  const buffer = Buffer.allocUnsafe(1 << 20);
  const subjects: Subject[] = [];
  for (const entry of walkTree(path)) {
    if (entry.kind !== 'file') continue;
    if (subjects.length % 100 === 0) await new Promise(setImmediate);
    if (signal.aborted) throw new CancelledError(signal.reason);
    subjects.push({ name: entry.path, digest: { sha256: hashOf(root, entry, buffer) } });
  }
  return subjects;
}

function hashOf(root: Root, entry: Entry, buffer: Buffer): string {
  const fd = root.open(entry.path, O.RDONLY, { follow: false, noLinks: true });
  try {
    if (!sameIdentity(fileIdentity(fstat(fd)), entry))
      throw new KilnError(
        'KILN_STORE_DAMAGED',
        `"/${entry.path}" of the result changed while it was read`,
        {
          hint: 'build again',
        },
      );
    const hash = createHash('sha256');
    for (;;) {
      const length = readSync(fd, buffer, 0, buffer.length, null);
      if (length === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, length));
    }
  } finally {
    closeSync(fd);
  }
}
