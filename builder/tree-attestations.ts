import { posix } from 'node:path';
import { KilnError } from '../base/errors.ts';
import { type Predicate, SPDX } from '../exporter/attest/attestation.ts';
import type { FoundFile, SolvedTree } from '../frontend/gateway.ts';
import type { TreeAttestation } from './answered-target.ts';
import { solveEdge } from './gateway.ts';
import type { Solving } from './solving.ts';

/** An SBOM of a large image has tens of megabytes. */
const MAX_BYTES = 64 << 20;
/** A directory of statements has at most so many files. */
const MAX_FILES = 1_000;

/**
 * Solves the trees of the attestations and reads the predicates in them, in order. Throws
 * KILN_REQUEST_INVALID for content that is no statement, and the errors of steps that fail.
 */
export async function treePredicates(
  attestations: readonly TreeAttestation[],
  solving: Solving,
): Promise<readonly Predicate[]> {
  const predicates: Predicate[] = [];
  for (const attestation of attestations) {
    if (!attestation.edge) throw unreadable(attestation.path, 'it has no tree');
    await using tree = await solveEdge(attestation.edge, solving);
    predicates.push(
      ...(attestation.kind === 'bundle'
        ? bundled(attestation, tree)
        : [predicateOf(attestation, attestation.path, bodyAt(tree, attestation.path))]),
    );
  }
  return predicates;
}

/** The statements in a directory. What they are about is the result, whatever they say. */
function bundled(attestation: TreeAttestation, tree: SolvedTree): Predicate[] {
  const entries = tree.list(attestation.path);
  if (!entries) throw unreadable(attestation.path, 'there is no such directory');
  if (entries.length > MAX_FILES)
    throw unreadable(attestation.path, `it has more than ${MAX_FILES} files`);
  return entries.map(({ name }) => {
    const path = posix.join(attestation.path, name);
    const { predicateType, predicate } = jsonAt(tree, path) as Readonly<Record<string, unknown>>;
    if (typeof predicateType !== 'string' || !isObject(predicate))
      throw unreadable(path, 'it is no statement of in-toto');
    if (attestation.type !== '' && predicateType !== attestation.type)
      throw unreadable(
        path,
        `bundle entry ${predicateType} does not match required predicate type ${attestation.type}`,
      );
    return predicateOf({ ...attestation, type: predicateType, subjects: [] }, path, predicate);
  });
}

function predicateOf(
  { type, subjects, metadata }: TreeAttestation,
  path: string,
  body: object | null,
): Predicate {
  const own = subjects.length > 0 ? { subjects } : {};
  const inlineOnly = noteOf(metadata, 'inline-only') === 'true';
  const fileName = posix.basename(path);
  const [stem] = fileName.split('.');
  const isSbomOfResult = type === SPDX && noteOf(metadata, 'sbom-core') === stem;
  return { type, body, fileName, inlineOnly, isSbomOfResult, ...own };
}

/** True when one of them is an SBOM. */
export function haveSbom(attestations: readonly TreeAttestation[]): boolean {
  return attestations.some(
    ({ type, metadata }) => SBOM_TYPES.has(type) || noteOf(metadata, 'reason') === 'sbom',
  );
}

const SBOM_TYPES: ReadonlySet<string> = new Set([SPDX, 'https://cyclonedx.org/bom']);

function noteOf(metadata: TreeAttestation['metadata'], name: string): string | undefined {
  const bytes = Object.hasOwn(metadata, name) ? metadata[name] : undefined;
  return bytes && Buffer.from(bytes).toString();
}

/** An empty file is a statement without a predicate. */
function bodyAt(tree: SolvedTree, path: string): object | null {
  const found = tree.find(path, MAX_BYTES);
  return found.kind === 'file' && found.bytes.byteLength === 0 ? null : jsonAt(tree, path);
}

function jsonAt(tree: SolvedTree, path: string): object {
  const found = tree.find(path, MAX_BYTES);
  if (found.kind !== 'file') throw unreadable(path, whyNoFile(found));
  let value: unknown;
  try {
    value = JSON.parse(found.bytes.toString());
  } catch {
    throw unreadable(path, 'it is not JSON');
  }
  if (!isObject(value)) throw unreadable(path, 'it is no JSON object');
  return value;
}

function whyNoFile(found: Exclude<FoundFile, { kind: 'file' }>): string {
  switch (found.kind) {
    case 'large':
      return `it has more than ${found.max} bytes`;
    case 'other':
      return `it is ${found.what}`;
    default:
      return 'no such file';
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function unreadable(path: string, why: string): KilnError {
  return new KilnError(
    'KILN_REQUEST_INVALID',
    `the attestation ${JSON.stringify(path)} of the result cannot be read: ${why}`,
  );
}
