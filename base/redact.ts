import { KilnError } from './errors.ts';

/**
 * # Logins in URLs
 *
 * A login in a URL is meant only for the step or the server that gets the URL. It may stand
 * anywhere in the values of a build: in a build argument of an instruction, in a git address, in a
 * line of the Dockerfile. The code below does not remove it there, because the values are used and
 * hashed into digests and keys. Instead, every text that leaves the build is redacted here:
 * progress, log, errors, records, attestations, answers of `--call` and printed graphs.
 */

/**
 * The text without the logins of its URLs: `https://user:password@host` becomes
 * `https://xxxxx@host`. A plain ssh user is kept. The value of a proxy variable may have a login
 * without a scheme, as in `HTTP_PROXY=user:password@host:3128`. The time is linear in the length,
 * because the text may be a whole RUN instruction.
 */
export function redactUrl(text: string): string {
  if (text.length < LONG) return redacted(text);
  // The last text is remembered: the same whole Dockerfile comes with each of its warnings.
  if (lastLong?.text !== text) lastLong = { text, told: redacted(text) };
  return lastLong.told;
}

const LONG = 1000;
let lastLong: { readonly text: string; readonly told: string } | undefined;

function redacted(text: string): string {
  if (!text.includes('@')) return text;
  const told = PROXY.test(text) ? text.replace(PROXY_LOGIN, '$1xxxxx@') : text;
  if (!told.includes(':/')) return told;
  return told.replace(LOGIN, (whole: string, slashes: string, login: string, at: number) => {
    const before = told.slice(Math.max(0, at - 13), at);
    const isPlain =
      login === REDACTED_PAIR ||
      IMAGE.test(before) ||
      (!login.includes(':') && PLAIN_SSH.test(before));
    return isPlain ? whole : `${slashes}xxxxx@`;
  });
}

/**
 * A login stands after `scheme:`. A URL with a single slash is one that was cleaned as if it were a
 * path. A password may have a slash that ought to be written as %2F. Then what stands in the place
 * of the port is not a number.
 */
const LOGIN = new RegExp(
  '((?<=[a-z0-9+.-])://|(?<=\\b(?:https?|ftp|git|ssh)):/)' +
    '((?:[^/?#\\s@]*|[^/?#\\s@:[]*:(?!\\d*(?:[/?#\\s"\'`,;)\\]}]|$))[^\\s@]{0,300})' +
    '(?:@[^/?#\\s@]*)*)@',
  'gi',
);

/** What BuildKit writes in the place of a user and a password. */
const REDACTED_PAIR = 'xxxxx:xxxxx';

const PROXY = /proxy/i;
/** The value of a variable such as HTTP_PROXY. A login in it has at most 300 characters. */
const PROXY_LOGIN = /(proxy["'\]]{0,2}[:=]["']?(?:\/\/)?)[^\s"'@/]{1,300}@/gi;

/** Matches the text before `://` when a name of an image follows, such as `a:1@sha256:…`. */
const IMAGE = /(?:docker-image|oci-layout)$/i;

/** Matches the text before `://` when the scheme is ssh. */
const PLAIN_SSH = /(?:^|[^a-z0-9+.-])(?:git\+)?ssh$/i;

/**
 * Plain data with `redactUrl` applied to each string in it, except to field names. Bytes are left
 * alone, and data without a login is not copied.
 */
export function redactData<T>(value: T): T {
  if (typeof value === 'string') return redactUrl(value) as T;
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (value instanceof KilnError) return redactError(value) as T;
  if (Array.isArray(value)) {
    const list = value.map(redactData);
    return list.some((item, index) => item !== value[index]) ? (list as T) : value;
  }
  // Nothing is made for what stays as it is: every event of a build comes through here.
  let changed: Record<string, unknown> | undefined;
  for (const name of Object.keys(value)) {
    const field: unknown = value[name as keyof typeof value];
    const told = redactField(name, field);
    if (told !== field) {
      changed ??= { ...value } as Record<string, unknown>;
      changed[name] = told;
    }
  }
  return (changed as T | undefined) ?? value;
}

/** The value of a field such as `build-arg:HTTP_PROXY` may be a login without a scheme. */
function redactField(name: string, value: unknown): unknown {
  if (typeof value !== 'string') return redactData(value);
  if (!value.includes('@')) return value;
  const told = redactUrl(value);
  return name.toLowerCase().endsWith('proxy') ? told.replace(BARE_LOGIN, '$1xxxxx@') : told;
}

const BARE_LOGIN = /^((?:\/\/)?)[^\s@/]{1,300}@/;

/**
 * Messages quote commands and their sources; the excerpt at the place of an error quotes the
 * Dockerfile.
 */
export function redactError({
  code,
  message,
  place,
  hint,
  exitCode,
  notes,
  cause,
}: KilnError): KilnError {
  return new KilnError(code, redactUrl(message), {
    ...redactData({ place, hint, exitCode, notes }),
    cause,
  });
}

/**
 * Redacts bytes that may be text, such as the lines of a heredoc, before they become base64, where
 * a URL is no longer visible.
 */
export function redactBytes(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const told = redactUrl(text);
  return told === text ? bytes : Buffer.from(told, 'latin1');
}

/**
 * For JSON.stringify: removes logins from fields `data`, which are base64 in graphs. They contain
 * heredocs and the Dockerfile.
 */
export function redactedData(name: string, value: unknown): unknown {
  return name === 'data' && typeof value === 'string'
    ? Buffer.from(redactBytes(Buffer.from(value, 'base64'))).toString('base64')
    : value;
}
