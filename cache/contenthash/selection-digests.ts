import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { type Digest, digestOfParts } from '../../base/digest.ts';
import { isOsError } from '../../base/oserror.ts';
import { putOwn, readOwn } from '../../snapshotter/store/own-file.ts';
import type { Selection, Tree } from '../contenthash.ts';
import { TREE_DIGEST_VERSION } from './treehash.ts';

/** More selections of one tree than a build has. */
const MAX_KEPT = 256;

interface Kept {
  readonly version: string;
  readonly digests: Readonly<Record<string, Digest>>;
}

/**
 * The digests of what is selected of one tree, as long as the tree has the same version
 * (`Tree.version`). They are kept between builds in one small file: crc32 of the rest in hex, line
 * break, JSON. A damaged file counts as empty.
 */
export class SelectionDigests {
  readonly #file: string | undefined;
  #kept: Kept | undefined;
  #isUnsaved = false;

  /** `file` is the place on disk; without it the digests are kept in memory only. */
  constructor(file: string | undefined) {
    this.#file = file;
    this.#kept = file === undefined ? undefined : readKept(file);
  }

  find(version: string, selection: string): Digest | undefined {
    const { version: known, digests } = this.#kept ?? { version: '', digests: {} };
    return known === version && Object.hasOwn(digests, selection) ? digests[selection] : undefined;
  }

  keep(version: string, selection: string, digest: Digest): void {
    const before = this.#kept?.version === version ? Object.entries(this.#kept.digests) : [];
    const entries = [...before.slice(1 - MAX_KEPT), [selection, digest] as const];
    this.#kept = { version, digests: Object.fromEntries(entries) };
    this.#isUnsaved = true;
  }

  /** Writes new digests to disk. What the disk refuses only saves work. */
  save(): void {
    if (this.#file === undefined || !this.#isUnsaved) return;
    const text = JSON.stringify(this.#kept);
    const temporary = `${this.#file}.${process.pid}.tmp`;
    try {
      mkdirSync(dirname(this.#file), { recursive: true });
      writeFileSync(temporary, `${sumOf(text)}\n${text}`);
      putOwn(temporary, this.#file);
    } catch (error) {
      rmSync(temporary, { force: true });
      if (!isOsError(error)) throw error;
    }
    this.#isUnsaved = false;
  }
}

/** Names a selection of a tree, by everything on which its digest depends beside the files. */
export function selectionName({ filter, rootOwned }: Tree, selection: Selection): string {
  const { id } = filter ?? { id: '' };
  const parts = [String(TREE_DIGEST_VERSION), JSON.stringify(selection), id, String(rootOwned)];
  return digestOfParts(parts);
}

function readKept(file: string): Kept | undefined {
  try {
    const [sum, text = ''] = (readOwn(file)?.toString() ?? '').split('\n');
    return sum === sumOf(text) ? (JSON.parse(text) as Kept) : undefined;
  } catch {
    return undefined;
  }
}

function sumOf(text: string): string {
  return crc32(text).toString(16);
}
