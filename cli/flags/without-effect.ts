import type { OutputSpec } from '../../exporter/output-spec.ts';

/**
 * What users of docker set and Kiln has no use for: told, so that nothing is lost without a word.
 * What changes nothing in the result is in docs/differences.md alone.
 */
export function withoutEffect(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  outputs: readonly OutputSpec[],
): readonly string[] {
  const builder = (flags['builder'] as string | undefined) || env['BUILDX_BUILDER'] || 'default';
  const source = flags['builder'] ? '--builder' : 'BUILDX_BUILDER';
  const asks =
    flags['check'] === true
      ? '--check'
      : flags['call'] && !/^build(,|$)/i.test(String(flags['call']))
        ? '--call'
        : undefined;
  const results = ['output', 'push', 'load', 'iidfile', 'metadataFile'].filter(
    (name) => flags[name] !== undefined,
  );
  const told: readonly (readonly [boolean, string])[] = [
    [
      !OWN.has(builder),
      `${source} ${JSON.stringify(builder)} has no effect: Kiln has one builder, itself`,
    ],
    [flags['isolation'] !== undefined, '--isolation has no effect: every step runs in a sandbox'],
    [
      flags['securityOpt'] !== undefined,
      '--security-opt has no effect: use RUN --security=insecure and --allow',
    ],
    [
      asks !== undefined && results.length > 0,
      `${asks} builds nothing: ${results.map(flagOf).join(', ')} ` +
        `${results.length > 1 ? 'have' : 'has'} no effect`,
    ],
    [
      flags['debug'] === true,
      '--debug has no effect: errors say all that is known, kiln logs has the rest',
    ],
    [
      flags['annotation'] !== undefined && !outputs.some((output) => 'image' in output),
      '--annotation has no effect: no output of this build is an image',
    ],
    [flags['compress'] === true, '--compress has no effect: the context is not sent anywhere'],
    [
      isFalse(env['DOCKER_BUILDKIT']),
      "DOCKER_BUILDKIT=0 has no effect: Kiln builds as BuildKit does, docker's old " +
        'builder is not there',
    ],
    [
      isTrue(env['DOCKER_CONTENT_TRUST']),
      'DOCKER_CONTENT_TRUST has no effect: signatures of images are not verified',
    ],
    [
      !!env['BUILDX_GIT_LABELS'] && !isFalse(env['BUILDX_GIT_LABELS']),
      'BUILDX_GIT_LABELS has no effect: give labels with --label',
    ],
    [
      isTrue(env['BUILDX_METADATA_WARNINGS']),
      'BUILDX_METADATA_WARNINGS has no effect: warnings are printed, not written ' +
        'to the metadata file',
    ],
    [
      !!env['BUILDX_METADATA_PROVENANCE'] &&
        flags['metadataFile'] !== undefined &&
        env['BUILDX_METADATA_PROVENANCE'] !== 'disabled',
      'BUILDX_METADATA_PROVENANCE has no effect: --provenance says it in the image, the ' +
        'metadata file has none',
    ],
  ];
  return told.flatMap(([applies, sentence]) => (applies ? [sentence] : []));
}

function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Names by which docker's own builder goes, and Kiln's. */
const OWN = new Set(['default', 'kiln', 'desktop-linux']);

function isTrue(value: string | undefined): boolean {
  return /^(?:1|t|true|y|yes|on)$/i.test(value ?? '');
}

function isFalse(value: string | undefined): boolean {
  return /^(?:0|f|false|n|no|off)$/i.test(value ?? '');
}
