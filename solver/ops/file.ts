import { type Digest, digestOf, digestOfParts } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { SelectedContents } from '../../cache/contenthash/hasher.ts';
import type { Selection } from '../../cache/contenthash.ts';
import { contentIndex } from '../../cache/explain/contentindex.ts';
import type { FileOp } from '../llb/file-op.ts';
import type { BuildResult, DirectoryResult } from '../result.ts';
import type { InputKey, Op, RunContext } from '../solver.ts';
import { sessionOf } from '../step-session.ts';
import type { World } from '../world.ts';
import { byteStatus } from './byte-status.ts';
import { actionParts, GROUP, type InputReads, PASSWD, readsOf, selectorOf } from './file/key.ts';
import { type FileServices, type HashedDirectories, runActions } from './file/run-actions.ts';
import { openTreeOf } from './file/tree.ts';
import { wire } from './file/wiring.ts';
import { keepingInputs } from './keep-inputs.ts';
import { keepLeft } from './keep-left.ts';

/** The services that file ops use. */
export interface FileOpWorld extends Omit<FileServices, 'hasher'> {
  readonly hasher: World['hasher'];
}

/**
 * The op of an LLB file op: copies, new directories, files and symlinks, and removals. Each output
 * is one new layer. In the key, the input that an action changes counts by its key. An input that
 * is only read counts by the content that is read, and by its passwd and group files if an owner is
 * a name. Throws KILN_GRAPH_INVALID.
 */
export function fileOp(op: FileOp, inputCount: number, world: FileOpWorld): Op<BuildResult> {
  const wiring = wire(op, inputCount);
  const reads = readsOf(op, inputCount);
  const hashed: HashedDirectories = new WeakMap();
  return {
    resource: 'cpu',
    async cacheMap(_signal, report) {
      const hosted = { ...world, hasher: world.hasher(sessionOf(report)) };
      return {
        parts: actionParts(op, inputCount),
        inputs: keepingInputs(
          reads.map((input) => inputKey(input, hosted, hashed)),
          report,
        ),
        volatile: false,
      };
    },
    async run(inputs, context) {
      const session = sessionOf(context);
      let count = 0;
      const results = await runActions({
        op,
        wiring,
        inputs,
        hashed,
        world: { ...world, hasher: world.hasher(session) },
        signal: context.signal,
        warn: (text) => warn(context, text),
        onCopying: (total) =>
          byteStatus(context, `copying${count++ === 0 ? '' : ` (${count})`}:`, total),
        onCommitting: () =>
          context.progress({
            kind: 'phase',
            vertex: context.vertex,
            phase: 'committing',
            timestamp: Date.now(),
          }),
        keepFailed: (leave) => keepLeft(context.vertex, session, world.snapshotter, leave),
      });
      for (const input of inputs) if (input.kind === 'directory') hashed.delete(input);
      return results;
    },
  };
}

function inputKey(
  reads: InputReads,
  world: FileServices,
  hashed: HashedDirectories,
): InputKey<BuildResult> {
  if (reads.whole || reads.selections.length === 0) return { by: 'definition' };
  return {
    by: 'content',
    selector: selectorOf(reads),
    digest: async (input, signal) => {
      await using scope = new AsyncDisposableStack();
      const tree = await openTreeOf(input, world.snapshotter, scope);
      const digests: Digest[] = [];
      const selected: SelectedContents[] = [];
      for (const { action, selection } of reads.selections) {
        const optional = selection === PASSWD || selection === GROUP;
        const read = await (optional
          ? orNothing(world.hasher.read(tree, selection, signal))
          : world.hasher.read(tree, selection, signal));
        digests.push(read?.digest ?? NOTHING);
        if (read) selected.push(read);
        if (input.kind === 'directory' && read && !optional) remember(hashed, input, action, read);
      }
      return {
        digest: digests.length === 1 ? digests[0]! : digestOfParts(digests),
        parts: partsOf(reads, digests),
        index: () => contentIndex(selected),
      };
    },
  };
}

/** Keeps what was hashed for the key, for the copy that follows. */
function remember(
  hashed: HashedDirectories,
  input: DirectoryResult,
  action: number,
  read: SelectedContents,
): void {
  const known = hashed.get(input) ?? new Map<number, SelectedContents>();
  hashed.set(input, known.set(action, read));
}

/** Stands for a passwd or group file that does not exist. */
const NOTHING = digestOf('nothing');

function partsOf(reads: InputReads, digests: readonly Digest[]): { name: string; value: string }[] {
  return reads.selections.map(({ selection }, at) => ({
    name: titleOf(selection),
    value: digests[at]!,
  }));
}

function titleOf(selection: Selection): string {
  return `content of ${selection.paths.join(' ')}`;
}

/** Undefined if the selected file does not exist: an image may have no passwd file. */
async function orNothing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof KilnError && error.code === 'KILN_COPY_SOURCE_MISSING') return undefined;
    throw error;
  }
}

function warn(context: RunContext, text: string): void {
  context.progress({ kind: 'warning', vertex: context.vertex, short: text, detail: [] });
}
