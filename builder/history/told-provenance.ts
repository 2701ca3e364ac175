import { formatPlatformInFull } from '../../base/platform.ts';
import { redactData } from '../../base/redact.ts';
import type { ExportResponse } from '../../exporter/exporter.ts';
import { attest } from '../attest.ts';
import type { SolvedBuild } from '../solve-build.ts';

/**
 * Returns entries with the provenance of a build, for the metadata file, under the names of buildx:
 * `buildx.build.provenance`, with `/PLATFORM` when there are several. `min` leaves out the steps
 * and the metadata.
 */
export async function toldProvenance(
  { targets, facts }: SolvedBuild,
  mode: 'min' | 'max',
): Promise<ExportResponse> {
  const provenance = {
    mode: 'max',
    // What buildx reads and writes there.
    version: 'v0.2',
    reproducible: false,
    inlineOnly: false,
    builderId: facts.request.attest.provenance?.builderId ?? '',
  } as const;
  const entries = targets.map(async (target) => {
    const made = await attest(facts, target, { provenance, sbom: false });
    const { buildConfig, metadata, ...rest } = Object(made.at(-1)?.body);
    const name = targets.length > 1 ? `/${formatPlatformInFull(target.platform)}` : '';
    const body = mode === 'max' ? { ...rest, buildConfig, metadata } : rest;
    return [`buildx.build.provenance${name}`, redactData(body)] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}
