import { basename } from 'node:path';
import type { AttestOptions, Attestor, Predicate } from '../exporter/attest/attestation.ts';
import type { BuildFacts } from '../exporter/attest/provenance.ts';
import type { BuiltTarget } from '../exporter/exporter.ts';
import type { TargetResult } from '../frontend/frontend.ts';
import { printable } from '../registry/failures.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { materialsOf } from '../solver/materials.ts';
import { sessionOf } from '../solver/step-session.ts';
import type { World } from '../solver/world.ts';
import type { BuildOptions } from './build-options.ts';
import type { LoadedContext } from './context/context.ts';
import { isRemote } from './context/context.ts';
import type { BuildContext } from './solve-build.ts';

/** What was solved, for whoever says something about it. */
export interface AttestedBuild {
  readonly options: BuildOptions;
  readonly attest: AttestOptions;
  readonly dockerfile: LoadedContext['dockerfile'];
  readonly world: Pick<World, 'platform'>;
  /** What the steps were lent, which knows what sources came to. */
  readonly session: unknown;
  /** The graph of each target. */
  readonly results: ReadonlyMap<BuiltTarget, TargetResult>;
  /** Milliseconds since 1970. */
  readonly started: number;
  readonly finished: number;
}

/** What `--provenance` and `--sbom` ask for, worked out once for each target, when an exporter asks. */
export function openAttestor(build: AttestedBuild, context: BuildContext): Attestor {
  const made = new Map<BuiltTarget, Promise<readonly Predicate[]>>();
  return (target) => {
    let predicates = made.get(target);
    if (!predicates) made.set(target, (predicates = attest(build, context, target)));
    return predicates;
  };
}

async function attest(build: AttestedBuild, context: BuildContext, target: BuiltTarget): Promise<readonly Predicate[]> {
  const predicates: Predicate[] = [];
  if (build.attest.sbom) predicates.push(await sbom(build, context, target));
  if (build.attest.provenance) {
    const { provenance } = await import('../exporter/attest/provenance.ts');
    const edge = build.results.get(target)?.edge;
    const materials = await materialsOf(edge, build.world.platform, sessionOf(build));
    predicates.push(provenance(build.attest.provenance, factsOf(build, context), { edge, materials }));
  }
  return predicates;
}

async function sbom({ options }: AttestedBuild, { session, progress }: BuildContext, target: BuiltTarget): Promise<Predicate> {
  const [{ scanTree }, { spdx }] = await Promise.all([import('../exporter/sbom/scan.ts'), import('../exporter/sbom/spdx.ts')]);
  await using view = await session.snapshotter.view(target.snapshot);
  const scan = scanTree(view.root, (label) => session.store.scratch(label));
  if (scan.unread.length > 0)
    progress({
      kind: 'warning',
      short: `packages in ${shortList(scan.unread)} are not in the SBOM`,
      detail: ["rpm's database is read in its forms of SQLite and ndb, Go programs as of Go 1.18"],
    });
  return spdx(scan, options.tags[0] ?? 'image', options.epoch === undefined ? Date.now() : options.epoch * 1000);
}

function shortList(paths: readonly string[]): string {
  const shown = paths.slice(0, 3).map((path) => `/${printable(path)}`);
  return `${shown.join(', ')}${paths.length > shown.length ? ` and ${paths.length - shown.length} more` : ''}`;
}

function factsOf({ options, dockerfile, started, finished }: AttestedBuild, { buildId }: BuildContext): BuildFacts {
  const { epoch } = options;
  const remote = isRemote(options.context);
  const fixed = epoch === undefined ? undefined : epoch * 1000;
  return {
    dockerfile: {
      name: options.file === undefined || options.file === '-' ? 'Dockerfile' : basename(options.file),
      text: dockerfile.text,
    },
    context: remote ? options.context : undefined,
    args: argsOf(options),
    locals: remote ? [] : ['context', 'dockerfile'],
    buildPlatform: hostPlatform(),
    invocation: fixed === undefined ? buildId : undefined,
    started: fixed ?? started,
    finished: fixed ?? finished,
  };
}

/** The options that change a result, under the names that BuildKit's frontend has for them. */
function argsOf(options: BuildOptions): Record<string, string> {
  const { target, noCache, network, extraHosts, shmSize, ulimits } = options;
  const hosts = extraHosts.map(({ host, ip }) => `${host}=${ip}`).join(',');
  const limits = ulimits.map(({ name, soft, hard }) => `${name}=${soft}:${hard}`).join(',');
  const named = (prefix: string, values: ReadonlyMap<string, string>) =>
    [...values].map(([name, value]): [string, string] => [`${prefix}:${name}`, value]);
  const args: [string, string | undefined][] = [
    ['target', target],
    ['no-cache', noCache === 'none' ? undefined : noCache === 'all' ? '' : noCache.join(',')],
    ['force-network-mode', network === 'default' ? undefined : network],
    ['add-hosts', hosts || undefined],
    ['shm-size', shmSize > 0 ? String(shmSize) : undefined],
    ['ulimit', limits || undefined],
    ...named('build-arg', options.buildArgs),
    ...named('label', options.labels),
    ...[...options.buildContexts].map(([name, value]): [string, string] => [`context:${name}`, placeless(value)]),
  ];
  const given = args.filter((arg): arg is [string, string] => arg[1] !== undefined);
  return Object.fromEntries(given.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Where a directory is on this machine is nobody's business. */
function placeless(context: string): string {
  return /^(docker-image|https?|git|ssh):\/\//.test(context)
    ? context
    : context.startsWith('oci-layout://')
      ? 'oci-layout:'
      : 'local:';
}
