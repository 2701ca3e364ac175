import type { Descriptor, Index } from './oci.ts';
import { formatPlatformInFull, normalisePlatform, type Platform } from './platform.ts';

/** Chooses which of several images runs on a platform, with the rules of containerd/platforms. */

/**
 * True when `candidate` is exactly `wanted` after normalising. The candidate's os features may be a
 * subset of those wanted.
 */
export function samePlatform(wanted: Platform, candidate: Platform): boolean {
  const a = normalisePlatform(wanted);
  const b = normalisePlatform(candidate);
  return (
    a.os === b.os &&
    a.architecture === b.architecture &&
    (a.variant ?? '') === (b.variant ?? '') &&
    (a.os !== 'windows' || sameWindows(a.osVersion, b.osVersion)) &&
    (b.osFeatures ?? []).every((feature) => a.osFeatures?.includes(feature))
  );
}

/**
 * Windows containers need the build number of their host, which is the first three numbers of the
 * version.
 */
function sameWindows(wanted: string | undefined, candidate: string | undefined): boolean {
  if (!wanted || !candidate) return true;
  const head = (version: string) => version.split('.').slice(0, 3).join('.');
  return head(wanted) === head(candidate);
}

/**
 * The platforms that run on `platform`, best first: arm64 also runs arm/v8 … v5, amd64 also runs
 * 386, and arm/v7 also runs v6 and v5.
 */
export function compatiblePlatforms(platform: Platform): readonly Platform[] {
  const wanted = normalisePlatform(platform);
  const like = (architecture: string, variant?: string): Platform => {
    const { variant: _, ...rest } = wanted;
    return { ...rest, architecture, ...(variant ? { variant } : {}) };
  };
  const list: Platform[] = [wanted];
  const armDown = (from: number) => {
    for (let version = from; version >= 5; version--) list.push(like('arm', `v${version}`));
  };
  if (wanted.architecture === 'amd64') {
    for (let version = Number(wanted.variant?.slice(1) ?? 1) - 1; version >= 1; version--)
      list.push(like('amd64', `v${version}`));
    list.push(like('386'));
  } else if (wanted.architecture === 'arm') {
    armDown(Number(wanted.variant?.slice(1)) - 1);
  } else if (wanted.architecture === 'arm64') {
    list.push(...arm64Down(wanted.variant ?? 'v8').map((variant) => like('arm64', variant)));
    armDown(8);
  }
  return list.map(normalisePlatform);
}

/**
 * arm64 v9.x includes every v9 version below it and v8.(x+5), which includes every v8 version below
 * it.
 */
function arm64Down(variant: string): string[] {
  const parsed = /^v([89])(?:\.(\d))?$/.exec(variant);
  if (!parsed) return [];
  const name = (major: number, minor: number) => (minor === 0 ? `v${major}` : `v${major}.${minor}`);
  const out: string[] = [];
  let minor = Number(parsed[2] ?? 0);
  if (parsed[1] === '9') {
    for (let lower = minor - 1; lower >= 0; lower--) out.push(name(9, lower));
    minor += 5;
    out.push(name(8, minor));
  }
  for (let lower = minor - 1; lower >= 0; lower--) out.push(name(8, lower));
  return out;
}

/**
 * The manifest of an index that fits `platform` best; the first one among equals. Attestation
 * manifests (platform unknown/unknown) never match. An entry without a platform is taken as a last
 * resort when it is the only manifest.
 */
export function bestManifest(index: Index, platform: Platform): Descriptor | undefined {
  for (const accepted of compatiblePlatforms(platform)) {
    const found = index.manifests.filter(
      (entry) => entry.platform && samePlatform(accepted, entry.platform),
    );
    if (found.length > 0) return platform.os === 'windows' ? newest(found, platform) : found[0];
  }
  const [only, ...more] = index.manifests;
  return only && more.length === 0 && !only.platform ? only : undefined;
}

/** Of images for Windows the one of exactly this version, or else of the highest revision. */
function newest(found: readonly Descriptor[], { osVersion }: Platform): Descriptor | undefined {
  const revision = ({ platform }: Descriptor) => Number(platform?.osVersion?.split('.')[3] ?? 0);
  const exact = found.find(({ platform }) => osVersion && platform?.osVersion === osVersion);
  return exact ?? found.toSorted((a, b) => (revision(b) || 0) - (revision(a) || 0))[0];
}

/**
 * True when an image of platform `own` runs on `wanted`. An image for a newer amd64 level is
 * accepted as plain amd64, as in Docker.
 */
export function runsOn(own: Platform, wanted: Platform): boolean {
  if (own.os === wanted.os && own.architecture === 'amd64' && wanted.architecture === 'amd64')
    return true;
  return compatiblePlatforms(wanted).some((accepted) => samePlatform(accepted, own));
}

/** The platforms that an index offers, for error messages. */
export function offeredPlatforms(index: Index): readonly string[] {
  return index.manifests.flatMap((entry) =>
    entry.platform && entry.platform.os !== 'unknown' ? [formatPlatformInFull(entry.platform)] : [],
  );
}
