import type { Digest } from '../../../base/digest.ts';
import type { SelectedContents, SelectionHasher } from '../../../cache/contenthash/hasher.ts';
import type { Tree } from '../../../cache/contenthash.ts';
import { contextChanged } from '../../../cache/select/changed.ts';
import {
  type ActiveSnapshot,
  type CopiedFiles,
  SCRATCH,
  type Snapshot,
  type Snapshotter,
} from '../../../snapshotter/snapshotter.ts';
import { openRoot, type Root } from '../../../snapshotter/sys/rooted.ts';
import type { OnMoved } from '../../../snapshotter/workers/job.ts';
import {
  type ChownOpt,
  type FileAction,
  type FileActionCopy,
  type FileOp,
  ownershipOf,
} from '../../llb/file-op.ts';
import type { BuildResult, DirectoryResult } from '../../result.ts';
import type { LeftResults } from '../../step-session.ts';
import { makeFile, makeSymlink, performMkdir, remove } from './actions.ts';
import { type Overrides, timeOf } from './attributes.ts';
import { absoluteMode, parseMode } from './chmod.ts';
import { copyPlace, type EarlierCopies, type EarlierCopy } from './earlier.ts';
import type { CopyPool, DirectFiles } from './inparts.ts';
import { lookupGroup, lookupUser, type OwnerIds } from './owner.ts';
import { type CopyTask, performCopy, selectionOf, treeCopy } from './perform.ts';
import { revisionOf, writeRevision } from './revise.ts';
import { openTreeOf, treeOf } from './tree.ts';
import { unhashed } from './unhashed.ts';
import { copyWhole } from './whole.ts';
import type { Wiring } from './wiring.ts';

/** The services that one run of a file op uses. */
export interface FileServices {
  readonly snapshotter: Snapshotter;
  readonly hasher: SelectionHasher;
  /** If undefined, everything is copied on the main thread. */
  readonly pool?: CopyPool;
  /** If undefined, unchanged files are never linked. */
  readonly earlier?: EarlierCopies | undefined;
}

/**
 * What was hashed for the key, by the index of the action. It is kept until the op has run, so that
 * the copy takes exactly those files. It is separate for each directory, because two builds may
 * share an op and lend it different directories.
 */
export type HashedDirectories = WeakMap<DirectoryResult, Map<number, SelectedContents>>;

/** One run of a file op. */
export interface FileRun {
  readonly op: FileOp;
  readonly wiring: Wiring;
  readonly inputs: readonly BuildResult[];
  readonly hashed: HashedDirectories;
  readonly world: FileServices;
  readonly signal: AbortSignal;
  readonly warn: (text: string) => void;
  /** See CopyTask. */
  readonly onCopying?: ((total: number) => OnMoved) | undefined;
  /** Called when all actions have ended and layers are made of what they wrote. */
  readonly onCommitting?: (() => void) | undefined;
  /** Called with what an action that failed has left. */
  readonly keepFailed: (leave: () => Promise<LeftResults>) => Promise<void>;
}

/**
 * Runs the actions in order. Each output becomes one layer on top of the tree with which its chain
 * of actions began.
 */
export async function runActions(run: FileRun): Promise<readonly BuildResult[]> {
  await using open = new AsyncDisposableStack();
  const runner = new Runner(run, open);
  for (const index of run.op.actions.keys())
    try {
      await runner.act(index);
    } catch (error) {
      if (!run.signal.aborted) await run.keepFailed(() => runner.leave(index));
      throw error;
    }
  const results: BuildResult[] = [];
  run.onCommitting?.();
  for (const position of run.wiring.outputs)
    results.push({ kind: 'snapshot', snapshot: await runner.commit(position) });
  return results;
}

class Runner {
  readonly #run: FileRun;
  readonly #open: AsyncDisposableStack;
  /**
   * The trees that actions have written and that are not committed yet, by position (see Wiring).
   */
  readonly #active = new Map<number, ActiveSnapshot>();
  readonly #committed = new Map<number, Snapshot>();
  /** The tree that the current action changes. */
  #acting: ActiveSnapshot | undefined;
  /** The large copy, if it is the only action of this op. */
  #made:
    | {
        readonly place: Digest;
        readonly copied: CopiedFiles;
        /** What is remembered of a whole copy. */
        readonly direct: DirectFiles | undefined;
      }
    | undefined;

  constructor(run: FileRun, open: AsyncDisposableStack) {
    this.#run = run;
    this.#open = open;
  }

  /** Runs the action `index`. */
  async act(index: number): Promise<void> {
    const { op, inputs, signal } = this.#run;
    signal.throwIfAborted();
    const action = op.actions[index]!;
    this.#acting = undefined;
    const active = await this.#base(action.input);
    this.#acting = active;
    const overrides = await this.#overrides(action, active);
    const made = await this.#perform(index, action, active, overrides);
    this.#active.set(inputs.length + index, made);
  }

  /** What the action `index`, which has failed, was made of and has left. */
  async leave(index: number): Promise<LeftResults> {
    const { op, inputs } = this.#run;
    const after: LeftResults['after'][number][] = op.actions.map(() => undefined);
    const secondary = op.actions[index]!.secondaryInput;
    if (secondary >= inputs.length)
      after[secondary - inputs.length] = {
        kind: 'snapshot',
        snapshot: await this.commit(secondary),
      };
    if (this.#acting) after[index] = { kind: 'snapshot', snapshot: await this.#acting.commit() };
    return { before: inputs, after, action: index };
  }

  /** Commits the result at a position, once. */
  async commit(position: number): Promise<Snapshot> {
    const known = this.#committed.get(position);
    if (known) return known;
    const active = this.#active.get(position);
    if (!active) throw new Error(`position ${position} was not made`);
    const made = this.#made;
    const snapshot = await active.commit(made?.copied);
    this.#committed.set(position, snapshot);
    if (made?.direct)
      this.#run.world.earlier?.keep(made.place, snapshot.layers.at(-1)!, active.parent, {
        files: made.direct.files,
        whole: made.direct.whole,
      });
    return snapshot;
  }

  /**
   * The tree that an action changes. It is the layer of the action before it if no other action
   * uses that one, otherwise a new layer.
   */
  async #base(position: number): Promise<ActiveSnapshot> {
    const before = this.#active.get(position);
    if (before && this.#run.wiring.uses.get(position) === 1) return before;
    const { inputs, world } = this.#run;
    const input = inputs[position];
    if (input?.kind === 'directory') return this.#fromDirectory(input);
    const parent = position === -1 ? SCRATCH : input ? input.snapshot : await this.commit(position);
    return this.#open.use(await world.snapshotter.prepare(parent, 'replacer'));
  }

  /** Copies a local directory into a layer, for an action that changes it. */
  async #fromDirectory(input: BuildResult & { kind: 'directory' }): Promise<ActiveSnapshot> {
    const { world, signal } = this.#run;
    const active = this.#open.use(await world.snapshotter.prepare(SCRATCH));
    const { hasher, pool } = world;
    await copyWhole(
      { tree: treeOf(input), path: '/', to: active.root, upper: active.upper, hasher, pool },
      signal,
    );
    return active;
  }

  /** Returns the tree that the action has changed: `active`, or one that stands for it. */
  async #perform(
    index: number,
    { action, secondaryInput }: FileAction,
    active: ActiveSnapshot,
    overrides: Overrides,
  ): Promise<ActiveSnapshot> {
    if (action.kind === 'copy')
      return await this.#copy(index, action.copy, secondaryInput, active, overrides);
    using to = openRoot(active.root);
    if (action.kind === 'mkdir') performMkdir(to, action.mkdir, overrides);
    else if (action.kind === 'mkfile') makeFile(to, action.mkfile, overrides);
    else if (action.kind === 'symlink') makeSymlink(to, action.symlink, overrides);
    else remove(to, active.root, action.rm);
    return active;
  }

  async #copy(
    index: number,
    copy: FileActionCopy,
    source: number,
    active: ActiveSnapshot,
    overrides: Overrides,
  ): Promise<ActiveSnapshot> {
    const { world, signal } = this.#run;
    await using scope = new AsyncDisposableStack();
    const tree = await this.#tree(source, scope);
    const selected = await this.#selected(index, copy, source, tree);
    // Files are linked only if the op has one action: then everything in the layer comes from this
    // copy.
    const earlier =
      tree.memory !== undefined && this.#run.op.actions.length === 1 ? world.earlier : undefined;
    const place = copyPlace(tree.memory ?? '', copy, overrides);
    const task = {
      copy,
      tree,
      selected,
      to: active.root,
      upper: active.upper,
      overrides,
      pool: world.pool,
      onCopying: this.#run.onCopying,
    };
    const before = earlier?.find(place);
    const revised = before && (await this.#revise(task, before, active));
    if (revised) {
      this.#made = { place, copied: revised.copied, direct: undefined };
      return revised.active;
    }
    const direct = await performCopy({ ...task, earlier: before }, signal);
    if (earlier && direct.files.length > 0) {
      const { linked } = direct;
      this.#made = { place, copied: { like: before?.layer, linked }, direct };
    }
    return active;
  }

  /**
   * Makes the copy as a new version of an earlier one (see revise.ts). Undefined if that cannot be
   * done; then nothing has happened.
   */
  async #revise(
    task: CopyTask,
    before: EarlierCopy,
    active: ActiveSnapshot,
  ): Promise<{ readonly active: ActiveSnapshot; readonly copied: CopiedFiles } | undefined> {
    const { target, layer } = before;
    const [source, ...others] = task.selected.sources;
    if (target === undefined || !source || others.length > 0) return undefined;
    const { layers } = active.parent;
    if (layers.length !== before.parent.length) return undefined;
    if (!layers.every((below, at) => below === before.parent[at])) return undefined;
    const revision = revisionOf(source.entries, task.selected.contents, target, before);
    if (!revision) return undefined;
    const version = await this.#run.world.snapshotter.revise(active.parent, layer);
    if (!version) return undefined;
    this.#open.use(version);
    using from = openRoot(task.tree.root);
    using to = openRoot(version.root);
    using parent = openRoot(active.root);
    this.#acting = version;
    if (!writeRevision({ ...treeCopy(task, source, from, to), target }, parent, revision)) {
      this.#acting = active;
      return undefined;
    }
    return { active: version, copied: { like: layer, linked: revision.untouched } };
  }

  /**
   * The files that an action copies. A local directory can change after its key was computed, so
   * the files that were hashed are the ones that are copied. A snapshot cannot change.
   */
  async #selected(
    index: number,
    copy: FileActionCopy,
    source: number,
    tree: Tree,
  ): Promise<SelectedContents> {
    const { inputs, hashed, world, signal } = this.#run;
    const input = inputs[source];
    if (input?.kind !== 'directory') return unhashed(tree, copy);
    const known = hashed.get(input)?.get(index);
    if (known) return known;
    const selected = await world.hasher.read(tree, selectionOf(copy), signal);
    if (selected.sources.length === 0 && !copy.allowEmptyWildcard) throw contextChanged(copy.src);
    return selected;
  }

  /** The tree at a position, to read from. */
  async #tree(position: number, scope: AsyncDisposableStack): Promise<Tree> {
    const { inputs, world } = this.#run;
    const result = inputs[position] ?? {
      kind: 'snapshot',
      snapshot: position === -1 ? SCRATCH : await this.commit(position),
    };
    return await openTreeOf(result, world.snapshotter, scope);
  }

  async #overrides({ action, input }: FileAction, active: ActiveSnapshot): Promise<Overrides> {
    const set = ownershipOf(action);
    return {
      owner: set?.owner ? await this.#owner(set.owner, input, active) : undefined,
      mode: action.kind === 'copy' ? modeOf(action.copy) : undefined,
      time: set && timeOf(set.timestamp),
    };
  }

  /**
   * The owner of new files, by BuildKit's rules. A user name without a group takes the user's group
   * from passwd. A uid without a group is also the gid. A name that does not exist is root, with a
   * warning.
   */
  async #owner(owner: ChownOpt, base: number, active: ActiveSnapshot): Promise<OwnerIds> {
    let { uid, gid } = { uid: 0, gid: 0 };
    const { user, group } = owner;
    if (user?.by === 'id') uid = gid = user.id;
    else if (user) {
      const found = await this.#lookup(user.input, base, active, (root) =>
        lookupUser(root, user.name),
      );
      if (found) ({ uid, gid } = found);
      else
        this.#run.warn(
          `the user "${user.name}" is not in /etc/passwd of the image, so the files belong to root`,
        );
    }
    if (group?.by === 'id') gid = group.id;
    else if (group) {
      const found = await this.#lookup(group.input, base, active, (root) =>
        lookupGroup(root, group.name),
      );
      if (found !== undefined) gid = found;
      else
        this.#run.warn(
          `the group "${group.name}" is not in /etc/group of the image, so the group stays ${gid}`,
        );
    }
    return { uid, gid };
  }

  async #lookup<T>(
    position: number,
    base: number,
    active: ActiveSnapshot,
    find: (root: Root) => T,
  ): Promise<T> {
    await using scope = new AsyncDisposableStack();
    using root = openRoot(
      position === base ? active.root : (await this.#tree(position, scope)).root,
    );
    return find(root);
  }
}

function modeOf(copy: FileActionCopy): Overrides['mode'] {
  if (copy.modeStr !== undefined && copy.modeStr !== '') return parseMode(copy.modeStr);
  return copy.mode === -1 ? undefined : absoluteMode(copy.mode);
}
