import {
  alwaysInJson,
  bytesField,
  demandedField,
  flagField,
  intField,
  type Message,
  message,
  messageField,
  messageList,
  oneofField,
  optionalField,
  textField,
  textList,
  timeField,
} from './codec.ts';
import { writeIntAlways } from './wire.ts';

/** pb.FileOp: changes trees by actions in order. */
export interface FileOp {
  readonly actions: readonly FileAction[];
}

/**
 * pb.FileAction: one change of a tree. `input` and `secondaryInput` are indexes: below
 * inputs.length an input of the op, inputs.length + n the result of action n, -1 none.
 */
export interface FileAction {
  readonly input: number;
  readonly secondaryInput: number;
  readonly output: number;
  readonly action:
    | { readonly kind: 'copy'; readonly copy: FileActionCopy }
    | { readonly kind: 'mkfile'; readonly mkfile: FileActionMkFile }
    | { readonly kind: 'mkdir'; readonly mkdir: FileActionMkDir }
    | { readonly kind: 'rm'; readonly rm: FileActionRm }
    | { readonly kind: 'symlink'; readonly symlink: FileActionSymlink };
}

/** The owner and the time that an action sets. Undefined for a removal, which sets neither. */
export function ownershipOf(
  action: FileAction['action'],
): { readonly owner?: ChownOpt; readonly timestamp: number | bigint } | undefined {
  switch (action.kind) {
    case 'copy':
      return action.copy;
    case 'mkfile':
      return action.mkfile;
    case 'mkdir':
      return action.mkdir;
    case 'symlink':
      return action.symlink;
    case 'rm':
      return undefined;
  }
}

/** Copies from a tree. Paths are absolute in their trees; `src` may have wildcards. */
export interface FileActionCopy {
  readonly src: string;
  readonly dest: string;
  readonly owner?: ChownOpt;
  /** Mode bits; -1 keeps those of the source. */
  readonly mode: number;
  /** Follow `src` if it is a symlink. */
  readonly followSymlink: boolean;
  /** If `src` is a directory, copy its contents and not the directory itself. */
  readonly dirCopyContents: boolean;
  /** ADD: unpack a source that is a tar archive. */
  readonly attemptUnpackDockerCompatibility: boolean;
  readonly createDestPath: boolean;
  readonly allowWildcard: boolean;
  /** A wildcard may match nothing. */
  readonly allowEmptyWildcard: boolean;
  /** Nanoseconds since 1970; -1 keeps the time of the source. */
  readonly timestamp: number | bigint;
  readonly includePatterns?: readonly string[];
  readonly excludePatterns?: readonly string[];
  /** Replace existing files even if they are of another kind. */
  readonly alwaysReplaceExistingDestPaths?: boolean;
  /** A symbolic or octal mode as in chmod(1). It takes precedence over `mode`. */
  readonly modeStr?: string;
  /** Paths of the source tree that must be among the selected ones. */
  readonly requiredPaths?: readonly string[];
}

/** The copy of a whole tree onto another one, with its owners, modes and times. */
export const COPY_TREE = {
  src: '/',
  dest: '/',
  mode: -1,
  followSymlink: false,
  dirCopyContents: true,
  attemptUnpackDockerCompatibility: false,
  createDestPath: false,
  allowWildcard: false,
  allowEmptyWildcard: false,
  timestamp: -1,
} as const satisfies FileActionCopy;

/** Makes a file. `timestamp` as in FileActionCopy. */
export interface FileActionMkFile {
  readonly path: string;
  readonly mode: number;
  readonly data: Uint8Array;
  readonly owner?: ChownOpt;
  readonly timestamp: number | bigint;
}

/** Makes a directory. `timestamp` as in FileActionCopy. */
export interface FileActionMkDir {
  readonly path: string;
  readonly mode: number;
  readonly makeParents: boolean;
  readonly owner?: ChownOpt;
  readonly timestamp: number | bigint;
}

/** Removes what is at `path`. */
export interface FileActionRm {
  readonly path: string;
  readonly allowNotFound: boolean;
  readonly allowWildcard: boolean;
}

/** Makes the symlink `newpath`, whose target is `oldpath`. `timestamp` as in FileActionCopy. */
export interface FileActionSymlink {
  readonly oldpath: string;
  readonly newpath: string;
  readonly owner?: ChownOpt;
  readonly timestamp: number | bigint;
}

export interface ChownOpt {
  readonly user?: UserOpt;
  readonly group?: UserOpt;
}

/**
 * A user or group. A name is looked up in the passwd (or group) file of the input with index
 * `input`.
 */
export type UserOpt =
  | { readonly by: 'name'; readonly name: string; readonly input: number }
  | { readonly by: 'id'; readonly id: number };

const NAMED_USER = message<{ readonly name: string; readonly input: number }>({
  name: textField(1),
  input: intField(2),
});
const BY_NAME = optionalField(messageField(1, NAMED_USER));
const BY_ID = 2;

/** pb.UserOpt, whose oneof is no message when it is an id: an id of 0 is written. */
const USER: Message<UserOpt> = {
  write: (out, user) => {
    if (user.by === 'id') writeIntAlways(out, BY_ID, user.id);
    else BY_NAME.write(out, user);
  },
  read: (bytes) => {
    const { name, id } = USER_FIELDS.read(bytes);
    return name ? { by: 'name', ...name } : { by: 'id', id };
  },
  json: (user) => ({
    User: user.by === 'name' ? { byName: NAMED_USER.json(user) } : user.id ? { byId: user.id } : {},
  }),
};
const USER_FIELDS = message<{
  readonly name?: { name: string; input: number };
  readonly id: number;
}>({ name: BY_NAME, id: intField(BY_ID) });

const CHOWN = message<ChownOpt>({
  user: optionalField(messageField(1, USER)),
  group: optionalField(messageField(2, USER)),
});

const COPY = message<FileActionCopy>({
  src: textField(1),
  dest: textField(2),
  owner: optionalField(messageField(3, CHOWN)),
  mode: intField(4),
  followSymlink: flagField(5),
  dirCopyContents: flagField(6),
  attemptUnpackDockerCompatibility: flagField(7),
  createDestPath: flagField(8),
  allowWildcard: flagField(9),
  allowEmptyWildcard: flagField(10),
  timestamp: timeField(11),
  includePatterns: optionalField(textList(12, 'include_patterns')),
  excludePatterns: optionalField(textList(13, 'exclude_patterns')),
  alwaysReplaceExistingDestPaths: optionalField(flagField(14)),
  modeStr: optionalField(textField(15)),
  requiredPaths: optionalField(textList(16, 'required_paths')),
});
const MKFILE = message<FileActionMkFile>({
  path: textField(1),
  mode: intField(2),
  data: bytesField(3),
  owner: optionalField(messageField(4, CHOWN)),
  timestamp: timeField(5),
});
const MKDIR = message<FileActionMkDir>({
  path: textField(1),
  mode: intField(2),
  makeParents: flagField(3),
  owner: optionalField(messageField(4, CHOWN)),
  timestamp: timeField(5),
});
const RM = message<FileActionRm>({
  path: textField(1),
  allowNotFound: flagField(2),
  allowWildcard: flagField(3),
});
const SYMLINK = message<FileActionSymlink>({
  oldpath: textField(1),
  newpath: textField(2),
  owner: optionalField(messageField(3, CHOWN)),
  timestamp: timeField(4),
});

const FILE_ACTION = message<FileAction>({
  input: alwaysInJson(intField(1)),
  secondaryInput: alwaysInJson(intField(2)),
  output: alwaysInJson(intField(3)),
  action: demandedField(
    oneofField<FileAction['action']>(
      {
        copy: messageField(4, COPY),
        mkfile: messageField(5, MKFILE),
        mkdir: messageField(6, MKDIR),
        rm: messageField(7, RM),
        symlink: messageField(8, SYMLINK),
      },
      'Action',
    ),
    'a file action of an unknown kind',
  ),
});

export const FILE_OP = message<FileOp>({ actions: messageList(2, FILE_ACTION) });
