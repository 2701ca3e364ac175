import { KilnError } from '../../base/errors.ts';
import type { ImageConfig } from '../../base/oci.ts';
import { formatPlatformInFull, normalisePlatform, type Platform } from '../../base/platform.ts';
import type { AnsweredTarget, TreeAttestation } from '../../builder/answered-target.ts';
import type { StatementSubject } from '../../exporter/attest/attestation.ts';
import { parseConfig } from '../../registry/parse-document.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { parseDefinition } from '../../solver/llb/parse.ts';
import {
  type Attestation,
  AttestationKind,
  type InTotoSubject,
  InTotoSubjectKind,
  type Ref,
  type Result,
} from '../proto/gateway.gen.ts';
import { plainConfig } from './plain-config.ts';
import type { HeldRef, Refs } from './refs.ts';
import { BASE_CONFIG, CONFIG, PLATFORMS } from './result-messages.ts';

/** A result is said about in at most so many ways. */
const MAX_ATTESTATIONS = 1_000;

/**
 * What is to be exported of a result that a client, or a frontend in an image, returns. One without
 * refs is an empty tree when there are outputs for it. Throws
 * KILN_REQUEST_INVALID, KILN_LLB_MALFORMED, and a ConnectError for a ref that is not of the build.
 */
export function returnedTargets(result: Result, refs: Refs, hasOutputs = false): AnsweredTarget[] {
  const { metadata } = result;
  const held = heldRefs(result, refs);
  if (held.size === 0 && !hasOutputs) return [];
  if (held.size === 0) held.set(ONLY, undefined);
  const platforms = platformsIn(metadata);
  for (const { id } of platforms)
    if (!held.has(id) && !held.has(ONLY)) throw invalid(`failed to find ref for ID ${id}`);
  // A map comes in any order. That of the platforms is the order of the request.
  const place = (id: string) => platforms.findIndex((known) => known.id === id);
  const ordered = [...held].toSorted(([a], [b]) => place(a) - place(b) || (a < b ? -1 : 1));
  return ordered.map(([id, ref]) => {
    const suffix = id === ONLY ? '' : `/${id}`;
    const mapped = id === ONLY ? platforms[0] : platforms.find((known) => known.id === id);
    const platform = mapped?.platform ?? ref?.target?.platform ?? hostPlatform();
    const config = configIn(metadata, `${CONFIG}${suffix}`) ?? ref?.target?.config;
    const base = configIn(metadata, `${BASE_CONFIG}${suffix}`) ?? ref?.target?.base;
    const scanned = ref?.target?.scanned;
    const name = mapped?.id ?? id;
    if (name !== ONLY && !canNameFile(name))
      throw invalid(`the target ${JSON.stringify(name)} of the result cannot name a directory`);
    const attestations = attestationsOf(
      result,
      new Set([id, name, formatPlatformInFull(platform)]),
      refs,
    );
    return {
      platform,
      edge: ref?.edge,
      config: config ?? plainConfig(platform),
      ...(base !== undefined && { base }),
      ...(scanned && { scanned }),
      ...(attestations.length > 0 && { attestations }),
      ...(name !== ONLY && name !== formatPlatformInFull(platform) && { id: name }),
      ...(ref && !ref.target && { isGraph: true }),
      ...(id !== ONLY && !mapped && !ref?.target && { isUnmapped: true }),
    };
  });
}

/** The directory of a target in an output has its name. */
function canNameFile(id: string): boolean {
  return /^[^\0]{1,200}$/s.test(id) && id !== '.' && id !== '..';
}

/** The name of a ref that is the only one of its result. */
const ONLY = '';

/** By the IDs of the refs. */
function heldRefs({ result }: Result, refs: Refs): Map<string, HeldRef | undefined> {
  switch (result.case) {
    case 'ref':
      return new Map([[ONLY, held(result.value, refs)]]);
    case 'refDeprecated':
      return new Map([[ONLY, refs.get(result.value)]]);
    case 'refs':
      return new Map(
        Object.entries(result.value.refs).map(([name, ref]) => [name, held(ref, refs)]),
      );
    case 'refsDeprecated':
      return new Map(Object.entries(result.value.refs).map(([name, id]) => [name, refs.get(id)]));
    default:
      return new Map();
  }
}

function held(ref: Ref, refs: Refs): HeldRef | undefined {
  if (ref.id !== '' || ref.def.byteLength === 0) return refs.get(ref.id);
  const edge = parseDefinition(ref.def);
  return edge && { edge, target: undefined };
}

/** What the result says about the target that has these names. */
function attestationsOf(
  { attestations }: Result,
  names: ReadonlySet<string>,
  refs: Refs,
): TreeAttestation[] {
  const list = [...names].flatMap((name) =>
    Object.hasOwn(attestations, name) ? (attestations[name]?.attestation ?? []) : [],
  );
  if (list.length > MAX_ATTESTATIONS)
    throw invalid(`the result has more than ${MAX_ATTESTATIONS} attestations`);
  return list.map((attestation) => attestationOf(attestation, refs));
}

function attestationOf(
  { kind, metadata, ref, path, inTotoPredicateType: type, inTotoSubjects }: Attestation,
  refs: Refs,
): TreeAttestation {
  if (kind !== AttestationKind.InToto && kind !== AttestationKind.Bundle)
    throw invalid(`unknown attestation kind ${kind}`);
  return {
    kind: kind === AttestationKind.Bundle ? 'bundle' : 'predicate',
    edge: ref && held(ref, refs)?.edge,
    path,
    type,
    subjects: inTotoSubjects.map(subjectOf),
    metadata,
  };
}

function subjectOf({ kind, name, digest }: InTotoSubject): StatementSubject {
  if (kind === InTotoSubjectKind.Self) return 'self';
  if (kind !== InTotoSubjectKind.Raw) throw invalid(`unknown attestation subject type ${kind}`);
  return {
    name: name === '' ? '_' : name,
    digest: Object.fromEntries(
      digest.map((text): [string, string] => {
        const [, algorithm, hex] = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):([0-9a-f]+)$/.exec(text) ?? [];
        if (algorithm === undefined || hex === undefined)
          throw invalid(`the digest ${JSON.stringify(text)} of a subject is not valid`);
        return [algorithm, hex];
      }),
    ),
  };
}

/** The refusals are in the words of BuildKit. */
function platformsIn(metadata: Result['metadata']): { id: string; platform: Platform }[] {
  if (!Object.hasOwn(metadata, PLATFORMS)) return [];
  const list = (jsonIn(metadata, PLATFORMS) as { readonly Platforms?: unknown } | null)?.Platforms;
  if (!Array.isArray(list) || list.length === 0)
    throw invalid('invalid empty platforms index for exporter');
  return list.map((entry: unknown) => {
    const { ID, Platform } = (entry ?? {}) as Record<string, unknown>;
    const { os, architecture, variant, ...more } = (Platform ?? {}) as Record<string, unknown>;
    if (typeof ID !== 'string' || ID === '')
      throw invalid('invalid empty platform key for exporter');
    if (typeof os !== 'string' || os === '' || typeof architecture !== 'string' || !architecture)
      throw invalid(`invalid platform value ${JSON.stringify(Platform)} for exporter`);
    const osVersion = more['os.version'];
    const features = more['os.features'];
    const osFeatures = (Array.isArray(features) ? features : []).filter(
      (feature) => typeof feature === 'string',
    );
    return {
      id: ID,
      platform: normalisePlatform({
        os,
        architecture,
        ...(typeof variant === 'string' && variant && { variant }),
        ...(typeof osVersion === 'string' && osVersion && { osVersion }),
        ...(osFeatures.length > 0 && { osFeatures }),
      }),
    };
  });
}

/** An image config. Its layers are those of the result, whatever it says of them. */
function configIn(metadata: Result['metadata'], name: string): ImageConfig | undefined {
  const bytes = Object.hasOwn(metadata, name) ? metadata[name] : undefined;
  if (!bytes) return undefined;
  if (Buffer.from(bytes).toString().trim() === 'null')
    throw new KilnError('KILN_CONFIG_INVALID', 'invalid null image config for export');
  const { rootfs: _, ...config } = parseConfig(bytes, `${name} of the result`);
  // Without a list of platforms the config says which one it is.
  if (!Object.hasOwn(metadata, PLATFORMS) && (config.os === '') !== (config.architecture === ''))
    throw new KilnError(
      'KILN_CONFIG_INVALID',
      'invalid image config: os and architecture must be specified together',
    );
  return config;
}

function jsonIn(metadata: Result['metadata'], name: string): object | null | undefined {
  const bytes = Object.hasOwn(metadata, name) ? metadata[name] : undefined;
  if (!bytes) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    if (typeof value === 'object') return value;
  } catch {
    // Told below.
  }
  throw invalid(`${name} of the result is not a JSON object`);
}

function invalid(message: string): KilnError {
  return new KilnError('KILN_REQUEST_INVALID', message);
}
