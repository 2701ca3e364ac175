import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { ImageConfig } from '../../base/oci.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import type { BuildAnswer } from '../../builder/bridge.ts';
import type { TargetResult } from '../../frontend/frontend.ts';
import { parseConfig } from '../../registry/parse-document.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { marshalDefinition, toDefinition } from '../../solver/llb/definition.ts';
import type { LlbEdge } from '../../solver/llb/graph.ts';
import { parseDefinition } from '../../solver/llb/parse.ts';
import { type Ref, RefSchema, type Result, ResultSchema } from '../proto/gateway.gen.ts';
import type { HeldRef, Refs } from './refs.ts';

/**
 * # Results as a client holds them
 *
 * A result is one ref, or one per platform, and metadata: image configs as JSON, and under
 * `refs.platforms` which ref is of which platform. A client may return what it was given, or put
 * results of its own together.
 */
const CONFIG = 'containerimage.config';
const BASE_CONFIG = 'containerimage.base.config';
const PLATFORMS = 'refs.platforms';

/** A definition beyond this size is not sent along with its ref: a message has a limit. */
const MAX_DEFINITION = 8 << 20;

/** The result of a frontend. What one in an image says of its result is sent along. */
export function resultMessage(
  { targets, metadata: said = {} }: Pick<BuildAnswer, 'targets' | 'metadata'>,
  refs: Refs,
): Result {
  const [only] = targets;
  const metadata: Record<string, Uint8Array> = Object.fromEntries(
    Object.entries(said).filter(
      ([name]) => name !== PLATFORMS && !/^containerimage\.(?:base\.)?config(?:\/|$)/.test(name),
    ),
  );
  const tell = (name: string, value: unknown) => {
    metadata[name] = Buffer.from(JSON.stringify(value));
  };
  tell(PLATFORMS, {
    Platforms: targets.map(({ platform }) => ({
      ID: formatPlatform(platform),
      Platform: platformJson(platform),
    })),
  });
  for (const target of targets) {
    const suffix = targets.length === 1 ? '' : `/${formatPlatform(target.platform)}`;
    tell(`${CONFIG}${suffix}`, target.config);
    if (target.base) tell(`${BASE_CONFIG}${suffix}`, target.base);
  }
  if (only && targets.length === 1)
    return create(ResultSchema, {
      result: { case: 'ref', value: refMessage(only.edge, refs, only) },
      metadata,
    });
  const named = targets.map((target): [string, Ref] => [
    formatPlatform(target.platform),
    refMessage(target.edge, refs, target),
  ]);
  return create(ResultSchema, {
    result: { case: 'refs', value: { refs: Object.fromEntries(named) } },
    metadata,
  });
}

export function refMessage(
  edge: LlbEdge | undefined,
  refs: Refs,
  target?: TargetResult | undefined,
): Ref {
  if (!edge) return create(RefSchema, {});
  const def = marshalDefinition(toDefinition(edge));
  return create(RefSchema, {
    id: refs.add({ edge, target }),
    ...(def.byteLength <= MAX_DEFINITION && { def }),
  });
}

/** What is to be exported of a result that a client returns. Throws a ConnectError. */
export function returnedTargets(result: Result, refs: Refs): TargetResult[] {
  const { metadata } = result;
  const held = heldRefs(result, refs);
  if (held.size === 0) return [];
  const platforms = platformsIn(metadata);
  return [...held].map(([id, ref]) => {
    const suffix = id === '' ? '' : `/${id}`;
    const platform =
      (id === '' ? platforms[0] : platforms.find((known) => known.id === id))?.platform ??
      ref?.target?.platform ??
      hostPlatform();
    const config = configIn(metadata, `${CONFIG}${suffix}`) ?? ref?.target?.config;
    const base = configIn(metadata, `${BASE_CONFIG}${suffix}`) ?? ref?.target?.base;
    return {
      platform,
      edge: ref?.edge,
      config: config ?? { ...platform, config: {}, history: [] },
      ...(base !== undefined && { base }),
    };
  });
}

/** By platform, or under the empty name when there is one without. */
function heldRefs({ result }: Result, refs: Refs): Map<string, HeldRef | undefined> {
  switch (result.case) {
    case 'ref':
      return new Map([['', held(result.value, refs)]]);
    case 'refDeprecated':
      return new Map([['', refs.get(result.value)]]);
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

function platformsIn(metadata: Result['metadata']): { id: string; platform: Platform }[] {
  const found = jsonIn(metadata, PLATFORMS) as
    | { readonly Platforms?: readonly { readonly ID?: unknown; readonly Platform?: unknown }[] }
    | undefined;
  if (!Array.isArray(found?.Platforms)) return [];
  return found.Platforms.flatMap(({ ID, Platform }) => {
    const { os, architecture, variant } = (Platform ?? {}) as Record<string, unknown>;
    if (typeof ID !== 'string' || typeof os !== 'string' || typeof architecture !== 'string')
      return [];
    return [
      {
        id: ID,
        platform: { os, architecture, ...(typeof variant === 'string' && variant && { variant }) },
      },
    ];
  });
}

function platformJson({ os, architecture, variant }: Platform) {
  return { architecture, os, ...(variant && { variant }) };
}

/** An image config. Its layers are those of the result, whatever it says of them. */
function configIn(metadata: Result['metadata'], name: string): ImageConfig | undefined {
  const bytes = Object.hasOwn(metadata, name) ? metadata[name] : undefined;
  if (!bytes) return undefined;
  const { rootfs: _, ...config } = parseConfig(bytes, `${name} of the result`);
  return config;
}

function jsonIn(metadata: Result['metadata'], name: string): object | undefined {
  const bytes = Object.hasOwn(metadata, name) ? metadata[name] : undefined;
  if (!bytes) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Told below.
  }
  throw new ConnectError(`${name} of the result is not a JSON object`, Code.InvalidArgument);
}
