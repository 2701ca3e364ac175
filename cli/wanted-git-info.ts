import type { BuildRequest } from '../builder/request.ts';
import { booleanVariable } from './boolean-variable.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What a build takes from the git repository that its context is in. */
export interface WantedGitInfo {
  /** BUILDX_GIT_LABELS: labels of the image. */
  readonly labels: boolean;
  /** BUILDX_GIT_INFO: fields of provenance. It is on unless it is switched off. */
  readonly provenance: boolean;
}

/**
 * Returns what `request` takes from git, or undefined for nothing. Only a build from a directory
 * takes something: labels when BUILDX_GIT_LABELS asks for them, and fields of provenance when it
 * has provenance.
 */
export function wantedGitInfo(
  { context, attest }: Pick<BuildRequest, 'context' | 'attest'>,
  env: Environment,
): WantedGitInfo | undefined {
  if (context.kind !== 'directory') return undefined;
  const labels =
    env['BUILDX_GIT_LABELS'] === 'full' || booleanVariable(env['BUILDX_GIT_LABELS']) === true;
  const provenance =
    attest.provenance !== undefined && booleanVariable(env['BUILDX_GIT_INFO']) !== false;
  return labels || provenance ? { labels, provenance } : undefined;
}
