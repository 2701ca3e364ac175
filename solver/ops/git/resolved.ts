/** What a ref of a remote points to at the moment. */
export interface Resolved {
  /** The id of the object that the ref points to: a commit or an annotated tag. */
  readonly object: string;
  /** The id of the commit. It differs from `object` only for a tag. */
  readonly commit: string;
  /** The full name, such as `refs/heads/main`. Undefined if the ref is the id of a commit. */
  readonly name: string | undefined;
}
