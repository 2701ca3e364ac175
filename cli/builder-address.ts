/** A builder elsewhere, and the flag or variable that names it. */
export interface BuilderAddress {
  readonly address: string;
  readonly source: '--builder' | 'BUILDX_BUILDER' | 'BUILDKIT_HOST';
}

/**
 * Returns the address of the builder that builds in the place of this process: `--builder`, else
 * BUILDX_BUILDER, else BUILDKIT_HOST. Undefined when none of them is an address. A flag that is a
 * name, such as `default`, means a builder of this host.
 */
export function builderAddress(
  flag: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): BuilderAddress | undefined {
  if (flag) return isAddress(flag) ? { address: flag, source: '--builder' } : undefined;
  const sources = ['BUILDX_BUILDER', 'BUILDKIT_HOST'] as const;
  const source = sources.find((name) => isAddress(env[name] ?? ''));
  return source && { address: env[source] ?? '', source };
}

/** The same of the words of `kiln build`, before they are parsed. */
export function builderIn(
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): BuilderAddress | undefined {
  const at = words.findLastIndex((word) => /^--builder(?:=|$)/.test(word));
  const [, value = words[at + 1]] = /^--builder=(.*)$/s.exec(words[at] ?? '') ?? [];
  return builderAddress(at < 0 ? undefined : value, env);
}

function isAddress(text: string): boolean {
  return /^[a-z][a-z-]*:\/\//.test(text);
}
