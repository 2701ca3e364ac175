import { KilnError } from '../../../base/errors.ts';
import { cleanPath } from '../../../base/gopath.ts';
import type { SourceOp } from '../../llb/ops.ts';
import { refuseUnread } from '../unread-attributes.ts';

/** A `git://` source of a graph (BuildKit's solver/pb/attr.go, `git.*`). */
export interface GitSource {
  /** The URL for git. An http URL has no user and password. */
  readonly remote: string;
  /** The remote for provenance: `xxxxx` stands for a user and for a password, as in BuildKit. */
  readonly told: string;
  /** The Authorization header for the login in the URL, if it had one. */
  readonly login: string | undefined;
  /** The ref as it is written; undefined for the default branch. */
  readonly ref: string | undefined;
  /** A directory of the repository, as a cleaned relative path; '' is the top. */
  readonly subdir: string;
  /** The expected id of the commit or tag, or the beginning of it. */
  readonly checksum: string | undefined;
  readonly keepGitDir: boolean;
  readonly submodules: boolean;
  readonly secrets: { readonly token: string | undefined; readonly header: string | undefined };
  /** The id of the ssh agent, for a remote by ssh. */
  readonly ssh: string | undefined;
  /** The commit is `checksum`, whatever the ref means now. */
  readonly byCommit: boolean;
  /** Lines of a known_hosts file. If given, no other host keys are accepted. */
  readonly knownHosts: string | undefined;
}

/**
 * Reads the attributes of a `git://` source. Throws KILN_GIT_URL, KILN_GIT_REF or KILN_GIT_CHECKSUM
 * for values that must not be passed to git.
 */
export function readGitSource({ identifier, attrs }: SourceOp): GitSource {
  refuseUnread(attrs, UNREAD, 'git');
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
    // The path starts at the top of the repository, and `..` stops there.
    subdir: colon < 0 ? '' : cleanPath(`/${fragment.slice(colon + 1)}`).slice(1),
    checksum,
    keepGitDir: attrs['git.keepgitdir'] === 'true',
    submodules: attrs['git.skipsubmodules'] !== 'true',
    secrets: {
      token: attrs['git.authtokensecret'] || undefined,
      header: attrs['git.authheadersecret'] || undefined,
    },
    ssh: attrs['git.mountsshsock'] || (isSsh(url) ? 'default' : undefined),
    byCommit: attrs['git.fetchbycommit'] === 'true',
    knownHosts: attrs['git.knownsshhosts'] || undefined,
  };
}

/** What a graph may ask of a repository in vain: to leave it out would be another result. */
const UNREAD = ['git.bundle', 'git.checkoutbundle', 'git.sig.'] as const;

const TRANSPORT = /^(?:https?|git|ssh):\/\//;
/** `user@host:path`, as in scp. The path cannot begin with two slashes. */
const SCP = /^[\w-]+@[\w.-]+:(?!\/\/)/;

function hasTransport(url: string): boolean {
  return TRANSPORT.test(url) || SCP.test(url);
}

/** True for a remote by ssh, as a URL or in scp's form. */
export function isSsh(remote: string): boolean {
  return remote.startsWith('ssh://') || SCP.test(remote);
}

/**
 * Checks a remote before it is passed to git: it must use http, https, git or ssh, and nothing in
 * it may look like an option of git or ssh. A login in an http URL is separated, because everybody
 * can read the arguments of git. Throws KILN_GIT_URL.
 */
export function remoteOf(url: string): Pick<GitSource, 'remote' | 'told' | 'login'> {
  const bad = (why: string) =>
    new KilnError('KILN_GIT_URL', `${JSON.stringify(withoutUserinfo(url))} ${why}`, {
      hint: 'write https://HOST/PATH.git or git@HOST:PATH',
    });
  if (/[\0-\x20\x7f]/.test(url)) throw bad('has a character that is not allowed in a URL');
  if (SCP.test(url)) return withoutLogin(url);
  if (!TRANSPORT.test(url)) throw bad('does not use http, https, git or ssh');
  if (!URL.canParse(url)) throw bad('is not a URL');
  const parsed = new URL(url);
  // A host or user that begins with a dash would be an option of ssh. A path that does would be an
  // option of the program on the other side.
  if (/^-/.test(parsed.hostname) || /^(-|%2d)/i.test(parsed.username) || parsed.hostname === '')
    throw bad('has no valid host');
  if (!/^https?:/.test(url)) return withoutLogin(withoutPassword(parsed, url));
  const { username, password } = parsed;
  if (username === '' && password === '') return withoutLogin(url);
  const login = [username, password].map(decodeURIComponent).join(':');
  if (username !== '') parsed.username = MASK;
  if (password !== '') parsed.password = MASK;
  const told = parsed.href;
  parsed.username = '';
  parsed.password = '';
  const remote = parsed.href;
  return { remote, told, login: `basic ${Buffer.from(login).toString('base64')}` };
}

const MASK = 'xxxxx';

function withoutLogin(remote: string): Pick<GitSource, 'remote' | 'told' | 'login'> {
  return { remote, told: remote, login: undefined };
}

/**
 * ssh takes no password from a URL, and git's own protocol no login at all. git would pass it on as
 * a part of the name, and say it in its messages.
 */
function withoutPassword(parsed: URL, url: string): string {
  const useless = parsed.protocol === 'git:' ? parsed.username + parsed.password : parsed.password;
  if (useless === '') return url;
  parsed.password = '';
  if (parsed.protocol === 'git:') parsed.username = '';
  return parsed.href;
}

/**
 * Host and path of a repository, however its URL is written. Two URLs that have these in common may
 * differ in the protocol and the login.
 */
export function withoutScheme(url: string): string {
  const rest = url.replace(/^[a-z+]+:\/\//i, '');
  const [, host, path] = /^(?:[^@/]*@)?([^/:]*(?::\d+(?=\/))?)[:/]\/*(.*)$/s.exec(rest) ?? [];
  return host === undefined ? rest : `${host.toLowerCase()}/${path}`;
}

/** The URL without user and password, for messages. */
export function withoutUserinfo(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^@/]*@/i, '$1');
}

/**
 * Returns `ref` if it is a valid name of a ref (git-check-ref-format(1)). So it is not an option, a
 * revision expression or a pattern. Throws KILN_GIT_REF.
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

/**
 * The full id that says which files these are, whatever the ref means now. With its .git directory,
 * a tree has the name of its ref, too, so that the ref matters.
 */
export function pinned({ checksum, keepGitDir, subdir }: GitSource): string | undefined {
  if (checksum === undefined || !isCommitId(checksum)) return undefined;
  return keepGitDir && subdir === '' ? undefined : checksum;
}

/** True for the full id of a commit: SHA-1 or SHA-256. */
export function isCommitId(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}
