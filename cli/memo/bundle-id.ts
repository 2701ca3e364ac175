let known: string | undefined;

/** Says which code this process runs. Called by the bundle alone, before a command runs. */
export function setBundleId(id: string | undefined): void {
  known = id;
}

/** The digest of the bundle that runs. Undefined for sources: nothing says whether they changed. */
export function bundleId(): string | undefined {
  return known;
}
