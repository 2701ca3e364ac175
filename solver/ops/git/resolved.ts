/** What a ref of the remote is at the moment. */
export interface Resolved {
  /** What the ref points to: a commit, or the object of an annotated tag. */
  readonly object: string;
  /** The commit. The same as `object`, unless that is known to be a tag. */
  readonly commit: string;
  /** The full name, such as `refs/heads/main`; undefined for a commit that was named itself. */
  readonly name: string | undefined;
}
