import { create } from '@bufbuild/protobuf';
import { formatPlatformInFull, type Platform } from '../../base/platform.ts';
import type { AnsweredTarget, TreeAttestation } from '../../builder/answered-target.ts';
import type { BuildAnswer } from '../../builder/bridge.ts';
import { marshalDefinition, toDefinition } from '../../solver/llb/definition.ts';
import type { LlbEdge } from '../../solver/llb/graph.ts';
import {
  AttestationKind,
  AttestationSchema,
  type Attestations,
  AttestationsSchema,
  InTotoSubjectKind,
  type Ref,
  RefSchema,
  type Result,
  ResultSchema,
} from '../proto/gateway.gen.ts';
import type { Refs } from './refs.ts';

/**
 * # Results as a client holds them
 *
 * A result is one ref, or one per platform, and metadata: image configs as JSON, and under
 * `refs.platforms` which ref is of which platform. A client may return what it was given, or put
 * results of its own together (`returned-result.ts`).
 */
export const CONFIG = 'containerimage.config';
export const BASE_CONFIG = 'containerimage.base.config';
export const PLATFORMS = 'refs.platforms';

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
  const named = targets.map((target): [string, AnsweredTarget] => [idOf(target), target]);
  tell(PLATFORMS, {
    Platforms: named.map(([ID, { platform }]) => ({ ID, Platform: platformJson(platform) })),
  });
  for (const [id, target] of named) {
    const suffix = targets.length === 1 ? '' : `/${id}`;
    tell(`${CONFIG}${suffix}`, target.config);
    if (target.base) tell(`${BASE_CONFIG}${suffix}`, target.base);
  }
  const attestations = Object.fromEntries(
    named.flatMap(([id, { attestations: list = [] }]): [string, Attestations][] =>
      list.length > 0 ? [[id, attestationsMessage(list, refs)]] : [],
    ),
  );
  if (only && targets.length === 1)
    return create(ResultSchema, {
      result: { case: 'ref', value: refMessage(only.edge, refs, only) },
      metadata,
      attestations,
    });
  const messages = named.map(([id, target]) => [id, refMessage(target.edge, refs, target)]);
  return create(ResultSchema, {
    result: { case: 'refs', value: { refs: Object.fromEntries(messages) } },
    metadata,
    attestations,
  });
}

/** The ID of a target in a result: the one that a frontend gave it, or its platform. */
function idOf({ id, platform }: AnsweredTarget): string {
  return id ?? formatPlatformInFull(platform);
}

function attestationsMessage(list: readonly TreeAttestation[], refs: Refs): Attestations {
  return create(AttestationsSchema, {
    attestation: list.map((one) =>
      create(AttestationSchema, {
        kind: one.kind === 'bundle' ? AttestationKind.Bundle : AttestationKind.InToto,
        metadata: { ...one.metadata },
        ref: refMessage(one.edge, refs),
        path: one.path,
        inTotoPredicateType: one.type,
        inTotoSubjects: one.subjects.map((subject) =>
          subject === 'self'
            ? { kind: InTotoSubjectKind.Self }
            : {
                kind: InTotoSubjectKind.Raw,
                name: subject.name,
                digest: Object.entries(subject.digest).map(([name, hex]) => `${name}:${hex}`),
              },
        ),
      }),
    ),
  });
}

export function refMessage(
  edge: LlbEdge | undefined,
  refs: Refs,
  target?: AnsweredTarget | undefined,
): Ref {
  if (!edge) return create(RefSchema, {});
  const def = marshalDefinition(toDefinition(edge));
  return create(RefSchema, {
    id: refs.add({ edge, target }),
    ...(def.byteLength <= MAX_DEFINITION && { def }),
  });
}

function platformJson({ os, architecture, variant, osVersion, osFeatures }: Platform) {
  return {
    architecture,
    os,
    ...(osVersion && { 'os.version': osVersion }),
    ...(osFeatures && osFeatures.length > 0 && { 'os.features': osFeatures }),
    ...(variant && { variant }),
  };
}
