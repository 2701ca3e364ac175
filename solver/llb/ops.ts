import type { Digest } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import {
  bytesField,
  demandedField,
  digestField,
  intField,
  MAP_TEXT,
  mapField,
  message,
  messageField,
  messageList,
  oneofField,
  optionalField,
  textField,
  textList,
} from './codec.ts';
import { EXEC_OP, type ExecOp } from './exec-op.ts';
import { FILE_OP, type FileOp } from './file-op.ts';

/**
 * The LLB ops (BuildKit solver/pb/ops.proto) as TypeScript values. An absent field and a proto3
 * zero value mean the same. `marshal.ts` turns a value into the bytes whose sha256 is the vertex
 * digest, by the table of each message (`codec.ts`).
 */
export type LlbOp = OpKind & {
  readonly platform?: Platform;
  readonly constraints?: WorkerConstraints;
};

type OpKind =
  | { readonly kind: 'source'; readonly source: SourceOp }
  | { readonly kind: 'exec'; readonly exec: ExecOp }
  | { readonly kind: 'file'; readonly file: FileOp }
  | { readonly kind: 'merge'; readonly merge: MergeOp }
  | { readonly kind: 'diff'; readonly diff: DiffOp }
  | { readonly kind: 'build'; readonly build: BuildOp };

/** pb.WorkerConstraints */
export interface WorkerConstraints {
  readonly filter?: readonly string[];
}

/** pb.SourceOp */
export interface SourceOp {
  /** `docker-image://…`, `local://name`, `git://…`, `https://…`, `oci-layout://…` */
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** pb.MergeOp: stacks the trees of its inputs, the first at the bottom. */
export interface MergeOp {
  readonly inputs: readonly { readonly input: number }[];
}

/** pb.DiffOp: the changes that lead from the tree `lower` to the tree `upper`. */
export interface DiffOp {
  readonly lower: { readonly input: number };
  readonly upper: { readonly input: number };
}

/** pb.BuildOp: builds a definition that another vertex makes. Kiln does not support it. */
export interface BuildOp {
  readonly builder: number;
  readonly inputs: Readonly<Record<string, { readonly input: number }>>;
  readonly def?: Uint8Array;
  readonly attrs: Readonly<Record<string, string>>;
}

/** pb.MergeInput, pb.LowerDiffInput, pb.UpperDiffInput and pb.BuildInput. */
const INDEX = message<{ readonly input: number }>({ input: intField(1) });

const SOURCE_OP = message<SourceOp>({ identifier: textField(1), attrs: mapField(2, MAP_TEXT) });
const MERGE_OP = message<MergeOp>({ inputs: messageList(1, INDEX) });
const DIFF_INPUT_MISSING = 'a diff lacks one of its two inputs';
const DIFF_OP = message<DiffOp>({
  lower: demandedField(optionalField(messageField(1, INDEX)), DIFF_INPUT_MISSING),
  upper: demandedField(optionalField(messageField(2, INDEX)), DIFF_INPUT_MISSING),
});
const BUILD_OP = message<BuildOp>({
  builder: intField(1),
  inputs: mapField(2, messageField(2, INDEX)),
  def: optionalField(bytesField(3)),
  attrs: mapField(4, MAP_TEXT),
});

/** pb.Input: an output of an op, which is named by its digest. */
export interface OpInput {
  readonly digest: Digest;
  readonly index: number;
}

const INPUT = message<OpInput>({ digest: digestField(1), index: intField(2) });

const PLATFORM = message<Platform>({
  architecture: textField(1, 'Architecture'),
  os: textField(2, 'OS'),
  variant: optionalField(textField(3, 'Variant')),
  osVersion: optionalField(textField(4, 'OSVersion')),
  osFeatures: optionalField(textList(5, 'OSFeatures')),
});

const WORKER_CONSTRAINTS = message<WorkerConstraints>({ filter: optionalField(textList(1)) });

/** pb.Op */
interface OpMessage {
  readonly inputs: readonly OpInput[];
  readonly platform?: Platform;
  readonly constraints?: WorkerConstraints;
  /** Undefined for the last entry of a definition. */
  readonly op?: OpKind;
}
export const OP = message<OpMessage>({
  inputs: messageList(1, INPUT),
  platform: optionalField(messageField(10, PLATFORM)),
  constraints: optionalField(messageField(11, WORKER_CONSTRAINTS)),
  op: oneofField<OpKind>(
    {
      exec: messageField(2, EXEC_OP),
      source: messageField(3, SOURCE_OP),
      file: messageField(4, FILE_OP),
      build: messageField(5, BUILD_OP),
      merge: messageField(6, MERGE_OP),
      diff: messageField(7, DIFF_OP),
    },
    'Op',
  ),
});
