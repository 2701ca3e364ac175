import { type Digest, isDigest } from './digest.ts';
import { KilnError } from './errors.ts';

/**
 * An image reference in full form. The grammar and the Docker Hub rules are those of
 * distribution/reference. A first component is a host when it has a dot, a port or an upper-case
 * letter, or is `localhost`. Every other name lives on docker.io, a single word under `library/`.
 */
export interface Reference {
  /** The host with port, as written: `docker.io`, `localhost:5000`, `[::1]:5000`. */
  readonly domain: string;
  /** The repository path, such as `library/busybox`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

export const DEFAULT_DOMAIN = 'docker.io';
const DEFAULT_TAG = 'latest';
const MAX_PATH = 255;

const LABEL = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const DOMAIN = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
/** One path component. A separator is one dot, one or two underscores, or any number of dashes. */
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const ALGORITHM = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*$/;

/**
 * Parses the name that a user writes after FROM or -t. The tag `latest` is added when there is
 * neither tag nor digest. Throws KILN_REFERENCE_INVALID, which says which part is wrong.
 */
export function parseReference(text: string): Reference {
  const fail = (why: string, hint?: string): never => {
    throw new KilnError(
      'KILN_REFERENCE_INVALID',
      `invalid image reference ${JSON.stringify(text)}: ${why}`,
      { hint },
    );
  };
  if (text === '')
    fail('it is empty', 'write a name such as busybox or registry.example.com/team/app:1.0');
  if (/^[0-9a-f]{64}$/.test(text))
    fail(
      'a name cannot be 64 hexadecimal characters',
      `to name an image by digest write NAME@sha256:${text}`,
    );
  if (/^[a-z][a-z0-9+.-]*:\/\//.test(text))
    fail('a reference has no scheme', 'leave out the part up to and including //');

  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : parseDigest(text.slice(at + 1), fail);
  const named = at < 0 ? text : text.slice(0, at);
  const { domain, rest } = splitDomain(named);
  const colon = rest.indexOf(':');
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  const remainder = colon < 0 ? rest : rest.slice(0, colon);

  if (!DOMAIN.test(domain))
    fail(
      `${JSON.stringify(domain)} is not a host name`,
      'a host is a name or [IPv6 address] with an optional :port',
    );
  checkPath(remainder, fail);
  if (tag !== undefined && !TAG.test(tag)) {
    fail(
      `${JSON.stringify(tag)} is not a tag`,
      'a tag has up to 128 letters, digits, dots, dashes and underscores, and does not ' +
        'start with a dot or dash',
    );
  }
  const path =
    domain === DEFAULT_DOMAIN && !remainder.includes('/') ? `library/${remainder}` : remainder;
  if (path.length > MAX_PATH)
    fail(`the repository name has ${path.length} characters, ${MAX_PATH} are allowed`);
  const effectiveTag = tag ?? (digest ? undefined : DEFAULT_TAG);
  return {
    domain,
    path,
    ...(effectiveTag === undefined ? {} : { tag: effectiveTag }),
    ...(digest ? { digest } : {}),
  };
}

/** Like `parseReference`, but returns undefined for text that is not a reference. */
export function tryParseReference(text: string): Reference | undefined {
  try {
    return parseReference(text);
  } catch (error) {
    if (error instanceof KilnError) return undefined;
    throw error;
  }
}

function splitDomain(named: string): { domain: string; rest: string } {
  const slash = named.indexOf('/');
  const first = slash < 0 ? '' : named.slice(0, slash);
  if (!looksLikeHost(first)) return { domain: DEFAULT_DOMAIN, rest: named };
  const domain = first === 'index.docker.io' ? DEFAULT_DOMAIN : first;
  return { domain, rest: named.slice(slash + 1) };
}

function looksLikeHost(first: string): boolean {
  return /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
}

function checkPath(path: string, fail: (why: string, hint?: string) => never): void {
  if (path === '') fail('the repository name is missing');
  if (path !== path.toLowerCase())
    fail('the repository name must be lower-case', `write ${path.toLowerCase()}`);
  for (const component of path.split('/')) {
    if (component === '') fail('the repository name has an empty component (a slash too many)');
    if (!COMPONENT.test(component)) {
      fail(
        `${JSON.stringify(component)} is not a repository name component`,
        'a component has lower-case letters and digits, separated by a dot, one or two ' +
          'underscores, or dashes',
      );
    }
  }
}

function parseDigest(text: string, fail: (why: string, hint?: string) => never): Digest {
  if (isDigest(text)) return text;
  const colon = text.indexOf(':');
  const algorithm = text.slice(0, Math.max(colon, 0));
  if (colon < 0 || !ALGORITHM.test(algorithm))
    return fail(
      `${JSON.stringify(text)} is not a digest`,
      'a digest is sha256: and 64 lower-case hex digits',
    );
  if (algorithm !== 'sha256')
    return fail(`digest algorithm ${algorithm} is not supported`, 'use the sha256 digest');
  return fail(
    `a sha256 digest has 64 lower-case hex digits, not ${JSON.stringify(text.slice(colon + 1))}`,
  );
}

/** What a registry is asked for in the repository: the digest, else the tag. */
export function wantedOf({ digest, tag = DEFAULT_TAG }: Reference): string {
  return digest ?? tag;
}

/**
 * The full form: `docker.io/library/busybox:latest`, with `@sha256:…` when the reference has a
 * digest.
 */
export function formatReference(reference: Reference): string {
  return nameOf(reference) + (reference.digest ? `@${reference.digest}` : '');
}

/** The full name with its tag, if any, and without its digest: the key of the local image store. */
export function nameOf(reference: Reference): string {
  return repositoryOf(reference) + (reference.tag === undefined ? '' : `:${reference.tag}`);
}

/** The full repository name, such as `docker.io/library/busybox`. */
export function repositoryOf(reference: Reference): string {
  return `${reference.domain}/${reference.path}`;
}

/**
 * The reference without the tag `latest`, which nobody has to write. The tag stays when a digest
 * follows it.
 */
export function withoutLatest(reference: Reference): Reference {
  const { tag, ...named } = reference;
  return tag === DEFAULT_TAG && !reference.digest ? named : reference;
}

/** The short form people write: `busybox:latest`, `team/app:1`, `localhost:5000/x:latest`. */
export function familiarName(reference: Reference): string {
  const name = shortRepository(reference);
  return (
    name +
    (reference.tag === undefined ? '' : `:${reference.tag}`) +
    (reference.digest ? `@${reference.digest}` : '')
  );
}

function shortRepository(reference: Reference): string {
  const { domain, path } = reference;
  if (domain !== DEFAULT_DOMAIN) return repositoryOf(reference);
  const [first, second, ...more] = path.split('/') as [string, ...string[]];
  if (second === undefined) return path;
  // Without docker.io the first component would be mistaken for a host.
  if (looksLikeHost(first)) return repositoryOf(reference);
  // `library/a/b` keeps its prefix: without it the name would mean docker.io/a/b.
  return first === 'library' && more.length === 0 ? second : path;
}
