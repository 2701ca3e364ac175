import { digestOf } from '../base/digest.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { marshalDefinition, toDefinition } from '../solver/llb/definition.ts';
import { NET_MODE, SECURITY_MODE } from '../solver/llb/enums.ts';
import type { ExecMeta } from '../solver/llb/exec-op.ts';
import type { FileAction, FileActionCopy } from '../solver/llb/file-op.ts';
import type { LlbEdge, OpMetadata } from '../solver/llb/graph.ts';
import { marshalOp } from '../solver/llb/marshal.ts';
import type { Mount } from '../solver/llb/mount.ts';
import type { LlbOp } from '../solver/llb/ops.ts';

/**
 * # Graphs as programs write them (BuildKit's client/llb)
 *
 * Ops are made one by one, as a Go program does with `llb.Image(…).Run(…)`. Undefined is the empty
 * tree.
 */
export type Tree = LlbEdge | undefined;

const PLAIN: OpMetadata = { description: {}, caps: [], locations: [] };

/** An op with its inputs, as an edge to its first output. */
function vertex(
  op: LlbOp,
  inputs: readonly LlbEdge[],
  metadata: Partial<OpMetadata> = {},
): LlbEdge {
  const platform = hostPlatform();
  const whole = { platform, constraints: {}, ...op };
  const bytes = marshalOp(
    whole,
    inputs.map((input) => ({ digest: input.vertex.digest, index: input.output })),
  );
  const made = {
    digest: digestOf(bytes),
    bytes,
    op: whole,
    inputs,
    metadata: { ...PLAIN, ...metadata },
  };
  return { vertex: made, output: 0 };
}

export function marshal(tree: Tree): Uint8Array {
  return marshalDefinition(toDefinition(tree));
}

export function source(identifier: string, attrs: Readonly<Record<string, string>> = {}): LlbEdge {
  return vertex({ kind: 'source', source: { identifier, attrs } }, []);
}

export function image(ref: string, attrs: Readonly<Record<string, string>> = {}): LlbEdge {
  return source(`docker-image://${ref}`, attrs);
}

/** A mount of a process. Unless it is read-only, the tree that it leaves is a result. */
export type MountSpec = Partial<Omit<Mount, 'input' | 'output' | 'dest'>> & { from?: Tree };

export interface RunSpec extends Partial<Omit<ExecMeta, 'args'>> {
  readonly mounts?: Readonly<Record<string, MountSpec>>;
  readonly network?: keyof typeof NET_MODE;
  readonly security?: keyof typeof SECURITY_MODE;
  readonly secretenv?: readonly { id: string; name: string; optional: boolean }[];
  readonly readonlyRoot?: boolean;
  readonly metadata?: Partial<OpMetadata>;
}

/** What a process leaves: its root, and the trees that were mounted. */
export interface Ran {
  readonly root: LlbEdge;
  at(dest: string): LlbEdge;
}

/** Runs `command`: arguments, or a text for `sh -c`. */
export function run(base: Tree, command: string | readonly string[], spec: RunSpec = {}): Ran {
  const {
    mounts = {},
    network = 'default',
    security = 'sandbox',
    secretenv,
    readonlyRoot,
    metadata,
    ...meta
  } = spec;
  const inputs: LlbEdge[] = [];
  const inputOf = (tree: Tree) => {
    if (!tree) return -1;
    const at = inputs.findIndex((one) => one.vertex === tree.vertex && one.output === tree.output);
    return at >= 0 ? at : inputs.push(tree) - 1;
  };
  const outputs = new Map<string, number>();
  const outputOf = (dest: string, mount: MountSpec) => {
    if (mount.readonly || (mount.mountType ?? 0) !== 0) return -1;
    outputs.set(dest, outputs.size);
    return outputs.size - 1;
  };
  const all: [string, MountSpec][] = [
    ['/', { from: base, ...(readonlyRoot && { readonly: true }) }],
    ...Object.entries(mounts),
  ];
  const lowered = all.map(
    ([dest, { from, ...mount }]): Mount => ({
      ...mount,
      dest,
      input: inputOf(from),
      output: outputOf(dest, mount),
    }),
  );
  const made = vertex(
    {
      kind: 'exec',
      exec: {
        meta: {
          args: typeof command === 'string' ? ['sh', '-c', command] : command,
          env: [],
          cwd: '/',
          removeMountStubsRecursive: true,
          ...meta,
        },
        mounts: lowered,
        network: NET_MODE[network],
        security: SECURITY_MODE[security],
        ...(secretenv && { secretenv }),
      },
    },
    inputs,
    metadata,
  );
  const output = (dest: string): LlbEdge => {
    const at = outputs.get(dest);
    if (at === undefined) throw new Error(`nothing is kept of ${dest}`);
    return { vertex: made.vertex, output: at };
  };
  return { root: readonlyRoot ? made : output('/'), at: output };
}

export type Action =
  | FileAction['action']
  | { readonly kind: 'copyFrom'; readonly from: Tree; readonly copy: FileActionCopy };

/** Changes `base` by `actions`, one after the other. */
export function file(base: Tree, ...actions: readonly Action[]): LlbEdge {
  const inputs: LlbEdge[] = [];
  const inputOf = (tree: Tree) => {
    if (!tree) return -1;
    const at = inputs.findIndex((one) => one.vertex === tree.vertex && one.output === tree.output);
    return at >= 0 ? at : inputs.push(tree) - 1;
  };
  const first = inputOf(base);
  const seconds = actions.map((action) => (action.kind === 'copyFrom' ? inputOf(action.from) : -1));
  return vertex(
    {
      kind: 'file',
      file: {
        actions: actions.map((action, index) => ({
          input: index === 0 ? first : inputs.length + index - 1,
          secondaryInput: seconds[index]!,
          output: index === actions.length - 1 ? 0 : -1,
          action: action.kind === 'copyFrom' ? { kind: 'copy', copy: action.copy } : action,
        })),
      },
    },
    inputs,
  );
}

export function mkfile(
  path: string,
  text: string | Uint8Array,
  mode = 0o600,
  more: object = {},
): Action {
  const data = typeof text === 'string' ? Buffer.from(text) : text;
  return { kind: 'mkfile', mkfile: { path, data, mode, timestamp: -1, ...more } };
}

export function rm(path: string, more: object = {}): Action {
  return { kind: 'rm', rm: { path, allowNotFound: false, allowWildcard: false, ...more } };
}

export function copy(
  from: Tree,
  src: string,
  dest: string,
  more: Partial<FileActionCopy> = {},
): Action {
  return {
    kind: 'copyFrom',
    from,
    copy: {
      src,
      dest,
      mode: -1,
      followSymlink: false,
      dirCopyContents: false,
      attemptUnpackDockerCompatibility: false,
      createDestPath: false,
      allowWildcard: false,
      allowEmptyWildcard: false,
      timestamp: -1,
      ...more,
    },
  };
}

export function merge(...trees: readonly LlbEdge[]): LlbEdge {
  return vertex({ kind: 'merge', merge: { inputs: trees.map((_, input) => ({ input })) } }, trees);
}

export function diff(lower: Tree, upper: Tree): LlbEdge {
  const inputs = [lower, upper].filter((tree) => tree !== undefined);
  return vertex(
    {
      kind: 'diff',
      diff: {
        lower: { input: lower ? 0 : -1 },
        upper: { input: upper ? inputs.length - 1 : -1 },
      },
    },
    inputs,
  );
}
