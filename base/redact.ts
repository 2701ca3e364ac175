import { KilnError } from './errors.ts';

/**
 * # Logins in URLs
 *
 * A login in a URL is for the step or the server that gets the URL, and for nobody else. It may stand anywhere in what a build works with:
 * a build argument in an instruction, an address of git, a line of the Dockerfile. So nobody below removes it: the values are real, digests and
 * keys are made of them, and where text leaves (the progress of a build and its log, errors, records, attestations, answers of `--call`, printed
 * graphs) it goes through here.
 */

/**
 * The text with logins taken out of the URLs in it: `https://user:password@host` becomes `https://xxxxx@host`. Ssh's plain user stays.
 * Linear in the length, as the text may be a whole RUN.
 */
export function redactUrl(text: string): string {
  if (text.length < LONG) return redacted(text);
  // The same string: the whole Dockerfile comes with each of its warnings.
  if (lastLong?.text !== text) lastLong = { text, told: redacted(text) };
  return lastLong.told;
}

const LONG = 1000;
let lastLong: { readonly text: string; readonly told: string } | undefined;

function redacted(text: string): string {
  return !text.includes('@') || !text.includes(':/')
    ? text
    : text.replace(LOGIN, (whole: string, slashes: string, login: string, at: number) =>
        !login.includes(':') && PLAIN_SSH.test(text.slice(Math.max(0, at - 8), at)) ? whole : `${slashes}xxxxx@`,
      );
}

/** Behind `scheme:`. With one slash it is a URL that somebody cleaned as a path. */
const LOGIN = /((?<=[a-z0-9+.-]):\/\/|(?<=\b(?:https?|ftp|git|ssh)):\/)([^/?#\s@]*(?:@[^/?#\s@]*)*)@/gi;

/** The end of what stands before `://` when that is ssh. */
const PLAIN_SSH = /(?:^|[^a-z0-9+.-])(?:git\+)?ssh$/i;

/** Plain data with `redactUrl` done to each text in it, names of fields aside. Bytes are left alone; what holds no login is not copied. */
export function redactData<T>(value: T): T {
  if (typeof value === 'string') return redactUrl(value) as T;
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (value instanceof KilnError) return redactError(value) as T;
  if (Array.isArray(value)) {
    const list = value.map(redactData);
    return list.every((item, index) => item === value[index]) ? value : (list as T);
  }
  const changed: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) {
    const told: unknown = redactData(field);
    if (told !== field) changed[name] = told;
  }
  return Object.keys(changed).length === 0 ? value : { ...value, ...changed };
}

/** Messages quote what was run and where it is from; the excerpt of the place quotes the Dockerfile. */
export function redactError({ code, message, place, hint, exitCode, notes, cause }: KilnError): KilnError {
  return new KilnError(code, redactUrl(message), { ...redactData({ place, hint, exitCode, notes }), cause });
}

/** Bytes that may be a text, such as the lines of a heredoc, before they become base64, where no URL is seen any more. */
export function redactBytes(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const told = redactUrl(text);
  return told === text ? bytes : Buffer.from(told, 'latin1');
}
