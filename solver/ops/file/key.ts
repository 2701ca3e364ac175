import { basename } from 'node:path/posix';
import { digestOf, digestOfParts } from '../../../base/digest.ts';
import { cleanPath } from '../../../base/gopath.ts';
import type { KeyPart } from '../../../cache/cache.ts';
import type { Selection } from '../../../cache/contenthash.ts';
import {
  type ChownOpt,
  type FileAction,
  type FileOp,
  ownershipOf,
  type UserOpt,
} from '../../llb/file-op.ts';
import { selectionOf } from './perform.ts';

/** Raise this when the meaning of an action changes. */
const VERSION = 1;

/**
 * The key parts of a file op, one for each action. The value is JSON with keys in a fixed order.
 * Equal actions have equal values, and the first difference can be shown to the user.
 */
export function actionParts(op: FileOp, inputCount: number): readonly KeyPart[] {
  const many = op.actions.length > 1;
  return op.actions.map((action, at) => ({
    name:
      `${TITLES[action.action.kind]}` +
      `${many ? ` (action ${at + 1} of ${op.actions.length})` : ''}`,
    value: JSON.stringify({
      version: VERSION,
      kind: action.action.kind,
      // Which results the action uses and which output it makes.
      wiring: [action.input, action.secondaryInput, action.output],
      ...fieldsOf(action, inputCount),
    }),
  }));
}

const TITLES = {
  copy: 'copy',
  mkfile: 'make file',
  mkdir: 'make directory',
  rm: 'remove',
  symlink: 'make symbolic link',
} as const;

function fieldsOf({ action, secondaryInput }: FileAction, inputCount: number): object {
  switch (action.kind) {
    case 'copy': {
      const { src, owner, timestamp, ...flags } = action.copy;
      const byContent = secondaryInput >= 0 && secondaryInput < inputCount;
      return {
        // If the source counts by content, its directory does not matter, only its name.
        src: byContent ? basename(cleanPath(`/${src}`)) : cleanPath(`/${src}`),
        dest: flags.dest,
        owner: ownerOf(owner),
        mode: flags.modeStr === undefined || flags.modeStr === '' ? flags.mode : flags.modeStr,
        timestamp: String(timestamp),
        followSymlink: flags.followSymlink,
        dirCopyContents: flags.dirCopyContents,
        unpack: flags.attemptUnpackDockerCompatibility,
        createDestPath: flags.createDestPath,
        wildcard: [flags.allowWildcard, flags.allowEmptyWildcard],
        include: flags.includePatterns ?? [],
        exclude: flags.excludePatterns ?? [],
        replace: flags.alwaysReplaceExistingDestPaths ?? false,
        required: flags.requiredPaths ?? [],
      };
    }
    case 'mkfile': {
      const { path, mode, data, owner, timestamp } = action.mkfile;
      return {
        path,
        mode,
        data: digestOf(data),
        owner: ownerOf(owner),
        timestamp: String(timestamp),
      };
    }
    case 'mkdir': {
      const { path, mode, makeParents, owner, timestamp } = action.mkdir;
      return { path, mode, makeParents, owner: ownerOf(owner), timestamp: String(timestamp) };
    }
    case 'rm': {
      const { path, allowNotFound, allowWildcard } = action.rm;
      return { path, allowNotFound, allowWildcard };
    }
    case 'symlink': {
      const { oldpath, newpath, owner, timestamp } = action.symlink;
      return { oldpath, newpath, owner: ownerOf(owner), timestamp: String(timestamp) };
    }
  }
}

/**
 * A name counts as it is written. The id that it stands for counts by the content of the passwd or
 * group file.
 */
function ownerOf(owner: ChownOpt | undefined): readonly unknown[] {
  const one = (opt: UserOpt | undefined) =>
    opt === undefined ? null : opt.by === 'id' ? opt.id : [opt.name, opt.input];
  return [one(owner?.user), one(owner?.group)];
}

/** How one input is read. */
export interface InputReads {
  /** True if an action changes this input, so that all of it counts. */
  readonly whole: boolean;
  readonly selections: readonly { readonly action: number; readonly selection: Selection }[];
}

/** For each input, how the op reads it. */
export function readsOf(op: FileOp, inputCount: number): readonly InputReads[] {
  return Array.from({ length: inputCount }, (_, input) => ({
    whole: op.actions.some((action) => action.input === input),
    selections: op.actions.flatMap((action, at) =>
      selectionsOf(action, input).map((selection) => ({ action: at, selection })),
    ),
  }));
}

function selectionsOf({ action, secondaryInput }: FileAction, input: number): Selection[] {
  const found: Selection[] = [];
  if (action.kind === 'copy' && secondaryInput === input) found.push(selectionOf(action.copy));
  const owner = ownershipOf(action)?.owner;
  if (owner?.user?.by === 'name' && owner.user.input === input) found.push(PASSWD);
  if (owner?.group?.by === 'name' && owner.group.input === input) found.push(GROUP);
  return found;
}

/** What an owner by name reads of the image, by content. */
export const PASSWD: Selection = { paths: ['/etc/passwd'], wildcard: false, followLinks: true };
export const GROUP: Selection = { paths: ['/etc/group'], wildcard: false, followLinks: true };

/** The selector of an input (`InputKey.selector`): a digest of what is selected in it. */
export function selectorOf(reads: InputReads): string {
  return digestOfParts(reads.selections.map(({ selection }) => JSON.stringify(selection)));
}
