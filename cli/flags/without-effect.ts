import { formatReference, parseReference } from '../../base/reference.ts';
import type { OutputSpec } from '../../exporter/output-spec.ts';
import type { BuilderAddress } from '../builder-address.ts';
import { pullFlag } from './pull.ts';

/**
 * Returns warnings about flags and variables of docker that have no effect in Kiln, so that nothing
 * is ignored silently. Those that could not change the result anyway have no warning, only a line
 * in docs/differences.md. `flags` are the flags by their names in commander.
 */
export function warningsWithoutEffect(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  outputs: readonly OutputSpec[],
  elsewhere?: BuilderAddress | undefined,
): readonly string[] {
  if (elsewhere) return warningsElsewhere(flags, env, outputs, elsewhere);
  const builder = (flags['builder'] as string | undefined) || env['BUILDX_BUILDER'] || 'default';
  const source = flags['builder'] ? '--builder' : 'BUILDX_BUILDER';
  const callFlag =
    flags['check'] === true
      ? '--check'
      : flags['call'] && !/^build(,|$)/i.test(String(flags['call']))
        ? '--call'
        : undefined;
  const results = ['output', 'push', 'load', 'iidfile', 'metadataFile'].filter(
    (name) => flags[name] !== undefined,
  );
  const unusedTags = tagsWithoutEffect((flags['tag'] as string[] | undefined) ?? [], outputs);
  const warnings: readonly (readonly [boolean, string])[] = [
    [
      !DEFAULT_BUILDERS.has(builder),
      `${source} ${JSON.stringify(builder)} has no effect: Kiln has no other builders`,
    ],
    [flags['isolation'] !== undefined, '--isolation has no effect: every step runs in a sandbox'],
    [
      flags['securityOpt'] !== undefined,
      '--security-opt has no effect: use RUN --security=insecure and --allow',
    ],
    [
      callFlag !== undefined && results.length > 0,
      `${callFlag} builds nothing: ${results.map(flagOf).join(', ')} ` +
        `${results.length > 1 ? 'have' : 'has'} no effect`,
    ],
    [
      flags['debug'] === true,
      '--debug has no effect: errors contain all details, and kiln logs prints the full log',
    ],
    [
      flags['annotation'] !== undefined && !outputs.some((output) => 'image' in output),
      '--annotation has no effect: no output of this build is an image',
    ],
    [
      callFlag === undefined && unusedTags.length > 0,
      `--tag ${unusedTags.join(', ')} has no effect: ` +
        (outputs.some((output) => 'image' in output)
          ? 'each image is named by name= of its --output'
          : 'no output of this build is an image'),
    ],
    [hasInlineMax(flags), INLINE_MAX],
    [flags['compress'] === true, '--compress has no effect: the context is not sent to a daemon'],
    [
      isFalse(env['DOCKER_BUILDKIT']),
      "DOCKER_BUILDKIT=0 has no effect: Kiln does not have docker's legacy builder",
    ],
    [
      isTrue(env['BUILDX_DEFAULT_POLICY']),
      'BUILDX_DEFAULT_POLICY has no effect: Kiln does not evaluate policies in Rego',
    ],
    [
      isTrue(env['DOCKER_CONTENT_TRUST']),
      'DOCKER_CONTENT_TRUST has no effect: Kiln does not verify image signatures',
    ],
  ];
  return warnings.flatMap(([applies, sentence]) => (applies ? [sentence] : []));
}

/** Flags that BuildKit's API has no words for. Without them, the result is the same. */
const NOT_SENT = [
  ['explain', '--explain'],
  ['onError', '--on-error'],
  ['outputOnError', '--output-on-error'],
  ['maxParallelism', '--max-parallelism'],
  ['tlsVerify', '--tls-verify'],
  ['memory', '--memory'],
  ['memorySwap', '--memory-swap'],
  ['cpus', '--cpus'],
  ['pids', '--pids'],
  ['cpuPeriod', '--cpu-period'],
  ['cpuQuota', '--cpu-quota'],
  ['cpuShares', '--cpu-shares'],
  ['cpusetCpus', '--cpuset-cpus'],
  ['cpusetMems', '--cpuset-mems'],
] as const;

/** The same for a build that is sent to a builder elsewhere. */
function warningsElsewhere(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  outputs: readonly OutputSpec[],
  { address }: BuilderAddress,
): readonly string[] {
  const isCall = flags['check'] === true || flags['call'] !== undefined;
  const isCacheOnly = flags['output'] !== undefined;
  return [
    ...NOT_SENT.filter(([name]) => flags[name] !== undefined && flags[name] !== false).map(
      ([, flag]) => `${flag} has no effect: it cannot be sent to ${address}`,
    ),
    ...(hasInlineMax(flags) ? [INLINE_MAX] : []),
    ...(pullFlag(flags['pull'] as string | undefined).lookUps === 'ask'
      ? []
      : [`--pull=${flags['pull']} has no effect: it cannot be sent to ${address}`]),
    ...(/^(?:min|max)$/i.test(env['BUILDX_METADATA_PROVENANCE'] ?? '') &&
    flags['metadataFile'] !== undefined
      ? [`BUILDX_METADATA_PROVENANCE has no effect: ${address} is not asked for it`]
      : []),
    ...(outputs.length === 0 && !isCall && !isCacheOnly
      ? [
          'no output is given: the result stays in the cache of the builder, without a name; ' +
            'use --push, --load or --output',
        ]
      : []),
  ];
}

/** Returns the tags that name no image, such as those that `name=` of an `--output` replaces. */
function tagsWithoutEffect(
  tags: readonly string[],
  outputs: readonly OutputSpec[],
): readonly string[] {
  const images = outputs.flatMap((output) => ('image' in output ? [output] : []));
  // The names of a push by digest have no tag.
  if (images.some((output) => output.type === 'image' && output.byDigest)) return [];
  const names = new Set(images.flatMap(({ image }) => image.names.map(formatReference)));
  return tags.filter((tag) => !names.has(formatReference(parseReference(tag))));
}

const INLINE_MAX =
  'mode=max of --cache-to type=inline has no effect: an inline cache has the layers of its image';

function hasInlineMax(flags: Readonly<Record<string, unknown>>): boolean {
  const caches = (flags['cacheTo'] as readonly string[] | undefined) ?? [];
  return caches.some((text) => {
    const fields = text.toLowerCase().split(',');
    return fields.includes('type=inline') && fields.includes('mode=max');
  });
}

function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Names of docker's default builders, and of Kiln. They cause no warning. */
const DEFAULT_BUILDERS = new Set(['default', 'kiln', 'desktop-linux']);

function isTrue(value: string | undefined): boolean {
  return /^(?:1|t|true|y|yes|on)$/i.test(value ?? '');
}

function isFalse(value: string | undefined): boolean {
  return /^(?:0|f|false|n|no|off)$/i.test(value ?? '');
}
