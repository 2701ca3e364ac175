/** What a client is told of an op that failed, by the names of BuildKit's errdefs.Solve. */
export interface SolveDetail {
  /** The results that the mounts of a process, or the actions of a file op, were made of. */
  readonly inputIDs: readonly string[];
  /** The results that are left of them. Empty where there is none. */
  readonly mountIDs: readonly string[];
  /** A pb.Op in protobuf's JSON. */
  readonly op: unknown;
  /** The file action that failed. */
  readonly file?: { readonly index: number };
  /** The input that could not be read for the key of the op: then it is the only one. */
  readonly cache?: { readonly index: number };
}

/** A cause of an error. The client may open containers of the results that it names. */
export class SolveFailure extends Error {
  readonly detail: SolveDetail;

  constructor(detail: SolveDetail, cause: unknown) {
    super('an op of the graph has failed', { cause });
    this.name = 'SolveFailure';
    this.detail = detail;
  }
}
