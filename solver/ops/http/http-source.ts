import { type Digest, digestOfParts, isDigest } from '../../../base/digest.ts';
import { KilnError } from '../../../base/errors.ts';
import type { SourceOp } from '../../llb/ops.ts';
import { refuseUnread } from '../unread-attributes.ts';

/** How the only file of a source is stored. */
export interface FileAttributes {
  readonly filename: string | undefined;
  /** The mode bits 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** An `http://` or `https://` source of a graph (BuildKit's solver/pb/attr.go, `http.*`). */
export interface HttpSource extends FileAttributes {
  readonly url: URL;
  /** The digest that the file must have. */
  readonly checksum: Digest | undefined;
  /**
   * The secret with the Authorization header. If undefined, the secrets named after the host are
   * tried.
   */
  readonly authSecret: string | undefined;
  /** More request headers, with lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The only request headers that a graph may set. */
const HEADERS: ReadonlySet<string> = new Set(['accept', 'user-agent']);

/**
 * Reads the attributes of an http source. Throws KILN_GRAPH_INVALID, or KILN_HTTP_URL for an
 * invalid URL.
 */
export function readHttpSource({ identifier, attrs }: SourceOp): HttpSource {
  refuseUnread(attrs, ['http.sig.'], 'http');
  if (!URL.canParse(identifier))
    throw new KilnError('KILN_HTTP_URL', `${JSON.stringify(identifier)} is not a URL`, {
      hint: 'check its spelling',
    });
  const checksum = attrs['http.checksum'];
  if (checksum !== undefined && !isDigest(checksum)) throw badAttribute('http.checksum', checksum);
  const headers = Object.entries(attrs).flatMap(([key, value]) => {
    const name = key.startsWith('http.header.')
      ? key.slice('http.header.'.length).toLowerCase()
      : '';
    return HEADERS.has(name) ? [[name, value] as const] : [];
  });
  return {
    url: new URL(identifier),
    checksum,
    ...readFileAttributes(attrs),
    authSecret: attrs['http.authheadersecret'] || undefined,
    headers: Object.fromEntries(headers.sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** The attributes that sources of one file have in common. Throws KILN_GRAPH_INVALID. */
export function readFileAttributes(attrs: SourceOp['attrs']): FileAttributes {
  return {
    filename: attrs['http.filename'] || undefined,
    mode: numberOf(attrs, 'http.perm') || 0o600,
    uid: numberOf(attrs, 'http.uid'),
    gid: numberOf(attrs, 'http.gid'),
  };
}

/**
 * The number in an attribute, read as Go's ParseInt does with base 0: `0600` and `0x180` are equal.
 * 0 if the attribute is missing.
 */
function numberOf(attrs: SourceOp['attrs'], name: string): number {
  const text = attrs[name];
  if (text === undefined) return 0;
  const octal = /^0[0-7]+$/.test(text);
  const value = octal ? Number.parseInt(text, 8) : Number(text);
  if (!/^(0[xob])?[0-9a-f]+$/i.test(text) || !Number.isInteger(value) || value > 0xffff_ffff)
    throw badAttribute(name, text);
  return value;
}

function badAttribute(name: string, value: string): KilnError {
  return new KilnError(
    'KILN_GRAPH_INVALID',
    `the build graph has ${name}=${JSON.stringify(value)}`,
  );
}

/**
 * The identity of a request: everything that decides which bytes it gets and how they are stored in
 * the layer.
 */
export function requestId({
  url,
  filename,
  mode,
  uid,
  gid,
  authSecret,
  headers,
}: HttpSource): Digest {
  const attributes = [mode, uid, gid].map(String);
  return digestOfParts([
    'kiln.http.v1',
    url.href,
    filename ?? '',
    ...attributes,
    authSecret ?? '',
    ...Object.entries(headers).flat(),
  ]);
}
