import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, KilnError } from '../../base/errors.ts';
import type { MarkForm } from '../layer/marks.ts';
import { Folds } from '../overlay/folds.ts';
import type { LayerJobs } from '../overlay/jobs.ts';
import { OverlayTrees, type TreeKind, type Trees } from '../overlay/trees.ts';
import { putOwn, readOwn } from '../store/own-file.ts';
import type { Store } from '../store/root.ts';
import type { ScratchDir } from '../store/scratch.ts';
import { mayMount, NO_MOUNTS } from '../sys/namespace.ts';
import { inUserNamespace } from '../sys/usernamespace.ts';
import { fileSystemName, mayChown, OWNERS, overlayObstacle, unholdable } from './filesystem.ts';
import { CopyingTrees } from './trees.ts';

/**
 * # How a store makes trees
 *
 * This is determined when a store is first used, and kept in its file `snapshotter`, because the
 * layers in the store are written in the matching form:
 *
 *     overlay                    mounts; a process that may not mount copies what it can read
 *     copy MARKS why it copies   directories of copies
 *
 * A store that is older than this file holds layers in overlay's form.
 */
export interface TreeChoice {
  readonly kind: TreeKind;
  readonly marks: MarkForm;
  /** Why overlay is not used, as the rest of a sentence. */
  readonly reason?: string;
}

const MEMORY = 'snapshotter';

/**
 * Chooses the trees that the store and this process allow. Throws KILN_STORE_FILE_SYSTEM when the
 * store cannot hold layers at all.
 */
export function chooseTrees(store: Store, jobs: LayerJobs): Trees {
  const choice =
    remembered(store.root) ??
    remember(
      store.root,
      explore(() => store.scratch('probe')),
    );
  const { kind, marks } = usable(choice);
  return kind === 'overlay'
    ? new OverlayTrees(new Folds(store, jobs))
    : new CopyingTrees(jobs, marks, marks === 'overlay' && !readsMarks());
}

/**
 * What a build in the store at `root` will use. `scratch` makes directories on the file system of
 * the store, or where the store would be made.
 */
export function predictTrees(root: string, scratch: () => ScratchDir): TreeChoice {
  return usable(remembered(root) ?? explore(scratch));
}

/** The recorded choice of the store, if it has one. */
export function remembered(root: string): TreeChoice | undefined {
  const text = readOwn(join(root, MEMORY))?.toString().trim();
  if (text === undefined) return holdsLayers(root) ? OVERLAY : undefined;
  const [kind, marks, ...reason] = text.split(' ');
  if (kind !== 'copy') return kind === 'overlay' ? OVERLAY : undefined;
  return { kind, marks: marks === 'overlay' ? marks : 'socket', reason: reason.join(' ') };
}

const OVERLAY: TreeChoice = { kind: 'overlay', marks: 'overlay' };

function holdsLayers(root: string): boolean {
  try {
    return readdirSync(join(root, 'layers')).length > 0;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error;
    return false;
  }
}

/** Two processes that do this at once come to the same result. */
function remember(root: string, choice: TreeChoice): TreeChoice {
  const temporary = join(root, `${MEMORY}.${process.pid}`);
  writeFileSync(
    temporary,
    choice.kind === 'overlay' ? 'overlay\n' : `copy ${choice.marks} ${choice.reason}\n`,
    { mode: 0o600 },
  );
  putOwn(temporary, join(root, MEMORY));
  return choice;
}

function explore(scratch: () => ScratchDir): TreeChoice {
  const obstacle = withScratch(scratch, (path) => {
    const found = mayMount() ? overlayObstacle(path) : NO_MOUNTS;
    return found && (found === NO_MOUNTS ? found : `${found} on ${fileSystemName(path)}`);
  });
  if (obstacle === undefined) return OVERLAY;
  withScratch(scratch, (path) => {
    const missing = unholdable(path);
    if (missing !== undefined) throw cannotHold(path, missing);
  });
  return { kind: 'copy', marks: 'socket', reason: obstacle };
}

function withScratch<T>(scratch: () => ScratchDir, use: (path: string) => T): T {
  using directory = scratch();
  return use(directory.path);
}

/**
 * For a process that may not mount, with a store for overlay: reads the layers as far as this
 * process can.
 */
function usable(choice: TreeChoice): TreeChoice {
  if (choice.kind === 'copy' || mayMount()) return choice;
  return { kind: 'copy', marks: choice.marks, reason: NO_MOUNTS };
}

/** `trusted.*` attributes are visible to CAP_SYS_ADMIN only, `user.*` ones to everybody. */
function readsMarks(): boolean {
  return inUserNamespace() || mayMount();
}

function cannotHold(path: string, missing: string): KilnError {
  if (missing === OWNERS && !mayChown())
    return new KilnError(
      'KILN_NO_PRIVILEGE',
      'the files of an image have owners, and this process may not set them (no CAP_CHOWN)',
      {
        hint: 'start the container or service around Kiln with --cap-add CAP_CHOWN',
      },
    );
  const name = fileSystemName(path);
  return new KilnError(
    'KILN_STORE_FILE_SYSTEM',
    `the store is on ${name}, which does not support ${missing} as images need it`,
    {
      place: { kind: 'path', path },
      hint:
        'put the store on another file system (ext4, xfs, btrfs, tmpfs, a volume of the ' +
        'container) with --root or KILN_ROOT',
    },
  );
}
