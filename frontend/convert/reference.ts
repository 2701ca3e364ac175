import { KilnError } from '../../base/errors.ts';

/** An image name as the distribution project defines it, with what Docker leaves out filled in. */
export interface Reference {
  /** `docker.io` unless written. */
  readonly domain: string;
  /** `library/busybox` */
  readonly path: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const DOMAIN =
  /^(?:\[[a-fA-F0-9:]+\]|(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*)(?::[0-9]+)?$/;
const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;

/** Throws KILN_IMAGE_NAME. */
export function parseReference(text: string): Reference {
  const found = tryParseReference(text);
  if (found) return found;
  const lower = text.toLowerCase();
  const hint =
    lower !== text && tryParseReference(lower) ? 'an image name is in lower case; only its tag may have capitals' : undefined;
  throw new KilnError('KILN_IMAGE_NAME', `${JSON.stringify(text)} is not an image name`, { hint });
}

export function tryParseReference(text: string): Reference | undefined {
  if (/^[a-f0-9]{64}$/.test(text)) return undefined;
  const at = text.indexOf('@');
  const digest = at >= 0 ? text.slice(at + 1) : undefined;
  const named = at >= 0 ? text.slice(0, at) : text;
  const colon = named.lastIndexOf(':');
  const tagged = colon > named.lastIndexOf('/');
  const tag = tagged ? named.slice(colon + 1) : undefined;
  const [domain, path] = splitDomain(tagged ? named.slice(0, colon) : named);
  if (!DOMAIN.test(domain) || !PATH.test(path) || domain.length + path.length > 254) return undefined;
  if (tag !== undefined && !TAG.test(tag)) return undefined;
  if (digest !== undefined && !DIGEST.test(digest)) return undefined;
  return { domain, path, tag, digest };
}

/** The first element is a host when it looks like one. */
function splitDomain(name: string): readonly [string, string] {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const isHost = first !== '' && (/[.:]/.test(first) || first === 'localhost' || first.toLowerCase() !== first);
  const domain = !isHost || first === 'index.docker.io' ? 'docker.io' : first;
  const path = isHost ? name.slice(slash + 1) : name;
  return [domain, domain === 'docker.io' && path !== '' && !path.includes('/') ? `library/${path}` : path];
}

/** The full name, with the tag `latest` where neither tag nor digest is given. */
export function fullName(reference: Reference): string {
  const tag = reference.tag ?? (reference.digest === undefined ? 'latest' : undefined);
  return `${reference.domain}/${reference.path}${tag ? `:${tag}` : ''}${reference.digest ? `@${reference.digest}` : ''}`;
}

/** The full name pinned to `digest`. */
export function pinnedName(reference: Reference, digest: string): string {
  return `${fullName({ ...reference, digest: undefined, tag: reference.tag ?? (reference.digest ? '' : 'latest') })}@${digest}`;
}

/** The short name people write, without the tag `latest`: what a named context is looked up by. */
export function familiarName(reference: Reference): string {
  const path =
    reference.path.startsWith('library/') && reference.path.indexOf('/', 8) < 0 ? reference.path.slice(8) : reference.path;
  const name = reference.domain === 'docker.io' ? path : `${reference.domain}/${reference.path}`;
  const tag = reference.tag && !(reference.tag === 'latest' && !reference.digest) ? `:${reference.tag}` : '';
  return `${name}${tag}${reference.digest ? `@${reference.digest}` : ''}`;
}
