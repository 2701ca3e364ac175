import { posix } from 'node:path';
import { KilnError } from '../base/errors.ts';
import { formatPlatform } from '../base/platform.ts';
import { formatReference, parseReference } from '../base/reference.ts';
import type { SbomScanner } from '../exporter/attest/attestation.ts';
import { splitEnv } from '../frontend/convert/stage-state.ts';
import type { ImageResolver, ScannedTrees } from '../frontend/frontend.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { type ExecMount, exec, imageSource } from '../solver/llb/builder.ts';
import { drafted, seal } from '../solver/llb/draft.ts';
import { NET_MODE, SECURITY_MODE } from '../solver/llb/enums.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import type { AnsweredTarget, TreeAttestation } from './answered-target.ts';
import type { BuildRequest } from './request.ts';
import { haveSbom } from './tree-attestations.ts';

/*
 * SBOMs by an image, which follows BuildKit's protocol (docs/attestations/sbom-protocol.md there):
 * it runs as a step of the build, finds the trees in directories, and writes statements into one.
 */
const SOURCES = '/run/src';
const DESTINATION = '/run/out';
/** The name of the tree that is the result. Names of others begin with it. */
const CORE = 'sbom';

/** What of the request matters to a scan. */
type ScanOptions = Pick<BuildRequest, 'attest' | 'noCache' | 'pull'>;

/**
 * Adds the SBOM of the scanner that the request names to each target that has a tree and no SBOM.
 * The scan is a step that runs when the attestations are read. Throws the errors of the look-up of
 * the image, and KILN_REQUEST_INVALID for an image that runs nothing.
 */
export async function withScans<T extends AnsweredTarget>(
  targets: readonly T[],
  { attest: { scanner }, ...options }: ScanOptions,
  resolveImage: ImageResolver,
): Promise<readonly T[]> {
  const isWanted = ({ edge, attestations = [] }: T) =>
    edge !== undefined && !haveSbom(attestations);
  if (!scanner || !targets.some(isWanted)) return targets;
  const run = await openScanner(scanner, options, resolveImage);
  return targets.map((target) => {
    if (!target.edge || !isWanted(target)) return target;
    const name = formatPlatform(target.platform);
    const scan = run(name, target.edge, target.scanned);
    return { ...target, attestations: [...(target.attestations ?? []), scan] };
  });
}

/** Makes the step that scans a result. `name` stands for the result in the name of the step. */
type Scan = (name: string, result: LlbEdge, more: ScannedTrees | undefined) => TreeAttestation;

async function openScanner(
  { image, parameters }: SbomScanner,
  { noCache, pull }: Omit<ScanOptions, 'attest'>,
  resolveImage: ImageResolver,
): Promise<Scan> {
  const platform = hostPlatform();
  const { digest, config, replaced } = await resolveImage(image, platform, { pull });
  const { digest: _, ...used } = replaced ?? parseReference(image);
  const full = formatReference(used);
  const source = formatReference({ ...used, digest });
  const { Entrypoint, Cmd, Env, WorkingDir } = config.config ?? {};
  const args = [...(Entrypoint ?? []), ...(Cmd ?? [])];
  if (args.length === 0)
    throw new KilnError('KILN_REQUEST_INVALID', `the SBOM generator ${image} has no command`, {
      hint: 'name an image that scans by the SBOM protocol of BuildKit',
    });
  return (name, result, { trees, ignoreCache } = { trees: new Map(), ignoreCache: false }) => {
    const core = posix.join(SOURCES, 'core', CORE);
    const extras = posix.join(SOURCES, 'extras');
    const env = new Map([
      ...(Env ?? []).map(splitEnv),
      ['BUILDKIT_SCAN_DESTINATION', `${DESTINATION}/`] as const,
      ['BUILDKIT_SCAN_SOURCE', core] as const,
      ...(trees.size > 0 ? [['BUILDKIT_SCAN_SOURCE_EXTRAS', `${extras}/`] as const] : []),
      ...Object.entries(parameters).map(([key, value]): [string, string] => [
        `BUILDKIT_SCAN_${key}`,
        value,
      ]),
    ]);
    const tree = (dest: string, edge: LlbEdge): ExecMount => ({
      type: 'bind',
      from: drafted(edge),
      dest,
      readonly: true,
    });
    const step = exec({
      root: imageSource(source, {
        platform,
        resolve: pull ? 'pull' : 'local',
        note: { name: `[${name}] load sbom generator ${source}` },
      }),
      platform,
      args,
      env,
      cwd: WorkingDir || '/',
      mounts: [
        { type: 'tmpfs', dest: '/tmp' },
        tree(core, result),
        ...[...trees].map(([key, edge]) => tree(posix.join(extras, `${CORE}-${key}`), edge)),
        { type: 'bind', dest: DESTINATION },
      ],
      secretEnv: [],
      network: NET_MODE.default,
      security: SECURITY_MODE.sandbox,
      result: DESTINATION,
      note: {
        name: `[${name}] generating sbom using ${full}`,
        ignoreCache: ignoreCache || noCache === 'all',
      },
    });
    return {
      kind: 'bundle',
      edge: seal(step, platform),
      path: '/',
      type: '',
      subjects: [],
      metadata: { reason: Buffer.from('sbom'), 'sbom-core': Buffer.from(CORE) },
    };
  };
}
