import { digestOf } from '../base/digest.ts';
import { CancelledError, KilnError } from '../base/errors.ts';
import type { Platform } from '../base/platform.ts';
import { parseReference } from '../base/reference.ts';
import type { ResolvedImage } from '../frontend/frontend.ts';
import { placeOf } from '../frontend/problem.ts';
import type { LlbVertex } from '../solver/llb/graph.ts';
import type { SourceOp } from '../solver/llb/ops.ts';
import { type AdmitSource, admitGraph } from '../solver/source-policy/admit-graph.ts';
import { normalSource, sourceEvaluator } from '../solver/source-policy/evaluate.ts';
import type { SourcePolicy } from '../solver/source-policy/policy.ts';
import { type MetaServices, sourceMeta } from './source-meta.ts';
import type { SourceDecision, SourceVerifier } from './source-verifier.ts';
import type { SourceGate } from './sources-admitted.ts';

/** Who may be asked so often about one source. */
const MAX_QUESTIONS = 10;
/** Rules run without a pause on so many sources. */
const TOGETHER = 50;

/**
 * Makes the gate of a build: the rules of `policies` first, then `verify`, which the caller lends.
 * `services` look up what the caller wants to know. Throws KILN_POLICY_INVALID.
 */
export function sourceGate(
  policies: readonly SourcePolicy[],
  verify: SourceVerifier | undefined,
  services: MetaServices,
): SourceGate {
  const { signal } = services.context;
  const evaluate = sourceEvaluator(policies);
  const decided = new Map<string, Promise<SourceOp>>();
  let evaluated = 0;
  const admitted = async (
    source: SourceOp,
    platform: Platform | undefined,
    asked: { left: number },
  ): Promise<SourceOp> => {
    if (++evaluated % TOGETHER === 0) await new Promise(setImmediate);
    if (signal.aborted) throw new CancelledError(signal.reason);
    const ruled = normalSource(evaluate(normalSource(source)));
    if (!verify) return ruled;
    const converted = await verified(ruled, platform, { verify, services, asked });
    return converted ? await admitted(converted, platform, asked) : ruled;
  };
  const admit: AdmitSource = (wanted, platform) => {
    const { identifier, attrs } = wanted;
    const key = JSON.stringify([identifier, Object.entries(attrs).sort(), platform]);
    let answer = decided.get(key);
    if (!answer) decided.set(key, (answer = admitted(wanted, platform, { left: MAX_QUESTIONS })));
    return answer;
  };
  const source: AdmitSource = (wanted, platform) =>
    admit(wanted, platform).catch((error: unknown) =>
      Promise.reject(prefixed('could not resolve image due to policy', error)),
    );
  return {
    source,
    graph: (edge) => admitGraph(edge, admit, aboutVertex),
    images: (resolve) => async (ref, platform, options) => {
      const identifier = ref.startsWith(LAYOUT) ? ref : `${IMAGE}${ref}`;
      const used = await source({ identifier, attrs: {} }, platform);
      if (used.identifier === normalSource({ identifier, attrs: {} }).identifier)
        return await resolve(ref, platform, options);
      if (used.identifier.startsWith(LAYOUT))
        return await resolve(used.identifier, platform, options);
      if (options.orTree && !used.identifier.startsWith(IMAGE)) return treeFor(ref, platform);
      const name = imageIn(used.identifier);
      const found = await resolve(name, platform, options);
      return { ...found, replaced: parseReference(name) };
    },
    stricter: (more) => sourceGate([...policies, ...more], verify, services),
  };
}

const IMAGE = 'docker-image://';
const LAYOUT = 'oci-layout://';

/** What stands for an image in whose place `admitGraph` puts another source. */
function treeFor(name: string, { os, architecture }: Platform): ResolvedImage {
  const config = { os, architecture };
  return { name, digest: digestOf(name), config, local: false, isTree: true };
}

function imageIn(identifier: string): string {
  if (identifier.startsWith(IMAGE)) return identifier.slice(IMAGE.length);
  throw new KilnError(
    'KILN_POLICY_INVALID',
    `an image is replaced by ${JSON.stringify(identifier)}, which is no image`,
  );
}

interface Verifying {
  readonly verify: SourceVerifier;
  readonly services: MetaServices;
  readonly asked: { left: number };
}

/** What the caller puts in the place of a source. Undefined when it allows the source. */
async function verified(
  source: SourceOp,
  platform: Platform | undefined,
  { verify, services, asked }: Verifying,
): Promise<SourceOp | undefined> {
  let meta = {};
  for (;;) {
    if (asked.left-- === 0) throw new KilnError('KILN_POLICY_INVALID', 'too many policy requests');
    const decision = await verify({ source, platform, meta }, services.context.signal);
    switch (decision.kind) {
      case 'allow':
        return undefined;
      case 'convert':
        return decision.source;
      case 'ask':
        meta = await metaFor(source, decision, services);
        break;
      case 'deny':
        throw new KilnError(
          'KILN_SOURCE_DENIED',
          `source ${JSON.stringify(source.identifier)} not allowed by policy: action DENY`,
          { notes: decision.messages, cause: decision.cause },
        );
    }
  }
}

async function metaFor(
  source: SourceOp,
  { source: asked, platform, wanted }: Extract<SourceDecision, { kind: 'ask' }>,
  services: MetaServices,
) {
  // A caller that may ask about any source could read what it has no business with.
  if (asked.identifier !== source.identifier)
    throw new KilnError(
      'KILN_POLICY_INVALID',
      `policy requested different source identifier: ${JSON.stringify(asked.identifier)} ` +
        `!= ${JSON.stringify(source.identifier)}`,
    );
  const names = new Set([...Object.keys(asked.attrs), ...Object.keys(source.attrs)]);
  for (const name of names)
    if (asked.attrs[name] !== source.attrs[name])
      throw new KilnError(
        'KILN_POLICY_INVALID',
        `policy requested different source attrs: value mismatch for key ${name}`,
      );
  try {
    return await sourceMeta(source, platform, wanted, services);
  } catch (error) {
    throw prefixed('error resolving source metadata from policy request', error);
  }
}

/** An error about a source has the line that wants it. */
function aboutVertex({ metadata }: LlbVertex, error: unknown): unknown {
  const range = metadata.locations[0];
  const told = prefixed('error evaluating the source policy', error);
  return told instanceof KilnError ? told.at(range && placeOf(range)) : told;
}

/** Errors of policies say where they were evaluated; others are told as they are. */
function prefixed(what: string, error: unknown): unknown {
  if (!(error instanceof KilnError)) return error;
  if (error.code !== 'KILN_SOURCE_DENIED' && error.code !== 'KILN_POLICY_INVALID') return error;
  return error.with({ message: `${what}: ${error.message}` });
}
