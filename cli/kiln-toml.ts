import type { KilnErrorCode } from '../base/codes.ts';
import { KilnError, messageOf } from '../base/errors.ts';

/** A table of a TOML file. */
export type TomlTable = Readonly<Record<string, unknown>>;

/**
 * Returns what `read` returns for the TOML file with this text. `path` is named in errors. Throws
 * `code`, with `hint`, when the text is not TOML or `read` throws.
 */
export async function readToml<T>(
  text: string,
  path: string,
  { code, hint }: { readonly code: KilnErrorCode; readonly hint: string },
  read: (file: TomlTable) => T,
): Promise<T> {
  const { parse } = await import('smol-toml');
  try {
    return read(parse(text));
  } catch (error) {
    throw new KilnError(code, `${path} is not valid: ${messageOf(error).split('\n', 1)[0]}`, {
      place: { kind: 'path', path },
      hint,
      cause: error,
    });
  }
}

export function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
