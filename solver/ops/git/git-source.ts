import { KilnError } from '../../../base/errors.ts';
import { cleanPath } from '../../../base/gopath.ts';
import type { SourceOp } from '../../llb/ops.ts';

/** A `git://` source as the graph asks for it (BuildKit's solver/pb/attr.go, `git.*`). */
export interface GitSource {
  /** What git is given, without user and password when it is http. */
  readonly remote: string;
  /** An Authorization header that was in the URL. */
  readonly login: string | undefined;
  /** As written; undefined is the remote's default branch. */
  readonly ref: string | undefined;
  /** Clean and relative; '' is the top. */
  readonly subdir: string;
  /** The beginning, at least, of the commit's or tag's id. */
  readonly checksum: string | undefined;
  readonly keepGitDir: boolean;
  readonly submodules: boolean;
  readonly secrets: { readonly token: string | undefined; readonly header: string | undefined };
  /** The id of the agent, for a remote that is reached by ssh. */
  readonly ssh: string | undefined;
  /** Lines of a known_hosts file: then no other host key is taken. */
  readonly knownHosts: string | undefined;
}

/** Throws KILN_GIT_URL or KILN_GIT_REF for what git must not be given. */
export function readGitSource({ identifier, attrs }: SourceOp): GitSource {
  const [, address = '', fragment = ''] = /^git:\/\/([^#]*)(?:#(.*))?$/s.exec(identifier) ?? [];
  const full = attrs['git.fullurl'] || address;
  const url = hasTransport(full) ? full : `https://${full}`;
  const colon = fragment.indexOf(':');
  const ref = colon < 0 ? fragment : fragment.slice(0, colon);
  const checksum = attrs['git.checksum']?.toLowerCase() || undefined;
  if (checksum !== undefined && !/^[0-9a-f]+$/.test(checksum))
    throw new KilnError('KILN_GIT_CHECKSUM', `${JSON.stringify(checksum)} is not a commit`, {
      hint: 'write the hexadecimal id of the commit',
    });
  return {
    ...remoteOf(url),
    ref: ref === '' ? undefined : checkedRef(ref),
    // As a path from the repository's top: `..` ends there.
    subdir: colon < 0 ? '' : cleanPath(`/${fragment.slice(colon + 1)}`).slice(1),
    checksum,
    keepGitDir: attrs['git.keepgitdir'] === 'true',
    submodules: attrs['git.skipsubmodules'] !== 'true',
    secrets: {
      token: attrs['git.authtokensecret'] || undefined,
      header: attrs['git.authheadersecret'] || undefined,
    },
    ssh: attrs['git.mountsshsock'] || (isSsh(url) ? 'default' : undefined),
    knownHosts: attrs['git.knownsshhosts'] || undefined,
  };
}

const TRANSPORT = /^(?:https?|git|ssh):\/\//;
/** `[user@]host:path`, as scp writes it; a path cannot begin with two slashes. */
const SCP = /^[\w-]+@[\w.-]+:(?!\/\/)/;

function hasTransport(url: string): boolean {
  return TRANSPORT.test(url) || SCP.test(url);
}

export function isSsh(remote: string): boolean {
  return remote.startsWith('ssh://') || SCP.test(remote);
}

/**
 * A remote that git may be given: by http, https, git or ssh, and nothing that git or ssh could
 * take for an option. A login in an http URL is taken out, since anybody may read the arguments of
 * git.
 */
export function remoteOf(url: string): Pick<GitSource, 'remote' | 'login'> {
  const bad = (why: string) =>
    new KilnError('KILN_GIT_URL', `${JSON.stringify(withoutUserinfo(url))} ${why}`, {
      hint: 'write https://HOST/PATH.git or git@HOST:PATH',
    });
  if (/[\0-\x20\x7f]/.test(url)) throw bad('has a character that no URL has');
  if (SCP.test(url)) return { remote: url, login: undefined };
  if (!TRANSPORT.test(url)) throw bad('is not reached by http, https, git or ssh');
  if (!URL.canParse(url)) throw bad('is not a URL');
  const parsed = new URL(url);
  // A host or user that begins with a dash would be an option of ssh; a path that does, one of the
  // program at the other side.
  if (/^-/.test(parsed.hostname) || /^(-|%2d)/i.test(parsed.username) || parsed.hostname === '')
    throw bad('names no host');
  if (!/^https?:/.test(url) || (parsed.username === '' && parsed.password === ''))
    return { remote: url, login: undefined };
  const login = [parsed.username, parsed.password].map(decodeURIComponent).join(':');
  parsed.username = '';
  parsed.password = '';
  return { remote: parsed.href, login: `basic ${Buffer.from(login).toString('base64')}` };
}

/** For messages and progress. */
export function withoutUserinfo(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^@/]*@/i, '$1');
}

/**
 * A name that a ref can have (git-check-ref-format(1)), so that it is no option, no revision
 * expression and no pattern.
 */
function checkedRef(ref: string): string {
  const bad = /^[-/.]|\.\.|\/\/|\/\.|@\{|[\0-\x20\x7f~^:?*[\\]|[/.]$|\.lock(\/|$)|^@$/.test(ref);
  if (bad)
    throw new KilnError(
      'KILN_GIT_REF',
      `${JSON.stringify(ref)} is not the name of a branch, tag or commit`,
      {
        hint: 'write #NAME or #NAME:DIRECTORY after the URL',
      },
    );
  return ref;
}

/** True for the whole id of a commit: SHA-1 or SHA-256. */
export function isCommitId(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}
