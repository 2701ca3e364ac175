/**
 * # Source policies
 *
 * A policy says which sources a build may use, and replaces some by others: images, repositories,
 * files by http, directories. It is BuildKit's `moby.buildkit.v1.sourcepolicy.Policy`, which
 * clients send with a build and which `EXPERIMENTAL_BUILDKIT_SOURCE_POLICY` names as a JSON file.
 */
export interface SourcePolicy {
  readonly rules: readonly PolicyRule[];
}

export const POLICY_ACTIONS = ['ALLOW', 'DENY', 'CONVERT'] as const;
export const MATCH_TYPES = ['WILDCARD', 'EXACT', 'REGEX'] as const;
export const ATTRIBUTE_CONDITIONS = ['EQUAL', 'NOTEQUAL', 'MATCHES'] as const;

/** What happens to the sources that `selector` matches. */
export interface PolicyRule {
  /** Of `ALLOW` and `DENY`, the last rule that matches decides. */
  readonly action: (typeof POLICY_ACTIONS)[number];
  readonly selector: PolicySelector;
  /** What `CONVERT` changes. */
  readonly updates?: PolicyUpdates | undefined;
}

/** Which sources are meant. One whose identifier is equal is meant in every case. */
export interface PolicySelector {
  /** Such as `docker-image://docker.io/library/busybox:*`. */
  readonly identifier: string;
  readonly matchType: (typeof MATCH_TYPES)[number];
  /** All of them must hold. */
  readonly constraints: readonly AttributeConstraint[];
}

/** What an attribute of the source must be. An attribute that is absent is empty. */
export interface AttributeConstraint {
  readonly key: string;
  readonly value: string;
  readonly condition: (typeof ATTRIBUTE_CONDITIONS)[number];
}

export interface PolicyUpdates {
  /** `${1}` stands for what the first `*` or group matched. Empty for no change. */
  readonly identifier: string;
  /** Attributes that are set, such as `http.checksum`. */
  readonly attrs: Readonly<Record<string, string>>;
}

/** More rules than anybody writes; each is tried on each source. */
export const MAX_RULES = 10_000;
