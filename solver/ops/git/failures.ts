import { KilnError } from '../../../base/errors.ts';
import { printable } from '../../../base/printable.ts';
import type { GitOutput } from './command.ts';

/** Matches a text that contains one of these patterns, in any case. */
function oneOf(...patterns: readonly string[]): RegExp {
  return new RegExp(patterns.join('|'), 'i');
}

/** How messages of git are classified. The first entry that matches counts. */
const CAUSES: readonly (readonly [RegExp, KilnError['code'], string, string])[] = [
  [
    oneOf(
      'could not read Username',
      'Authentication failed',
      'Permission denied',
      'HTTP Basic: Access denied',
      'returned error: 40[13]',
    ),
    'KILN_GIT_DENIED',
    'the repository does not exist, or needs a login',
    'check the URL; for a private repository give --secret id=GIT_AUTH_TOKEN,env=TOKEN, or ' +
      '--ssh default for an ssh URL',
  ],
  [
    /Host key verification failed|HOST IDENTIFICATION HAS CHANGED/i,
    'KILN_GIT_HOST_KEY',
    'the key of the host is not the known one',
    'if the host really has a new key, remove the old one from known_hosts',
  ],
  [
    oneOf(
      "repository '.*' not found",
      'does not appear to be a git repository',
      'returned error: 404',
      'access denied or repository not exported',
      'not valid: is this a git repository',
    ),
    'KILN_GIT_REPOSITORY',
    'the repository does not exist',
    'check the URL',
  ],
  [
    oneOf(
      'could not resolve host',
      'unable to look up',
      'unable to connect',
      'failed to connect',
      'connection refused',
      'connection timed out',
      'no route to host',
      'network is unreachable',
      "couldn't connect",
    ),
    'KILN_GIT_UNREACHABLE',
    'the host cannot be reached',
    'check the URL, the network and the proxy settings (HTTPS_PROXY, NO_PROXY)',
  ],
  [
    /Operation too slow|transfer closed with .* remaining|early EOF/i,
    'KILN_GIT_UNREACHABLE',
    'the host sends too slowly, or stopped sending',
    'check the network and the proxy settings, then run the command again',
  ],
  [
    /SSL|TLS|certificate/,
    'KILN_GIT_UNREACHABLE',
    'a trusted TLS connection to the host is not possible',
    'set GIT_SSL_CAINFO to the file of the CA that signed its certificate',
  ],
  [
    /transport '.*' not allowed/,
    'KILN_GIT_URL',
    'the repository refers to a URL with a protocol that is not allowed',
    'the allowed protocols are http, https, ssh and git',
  ],
];

/**
 * The error of a run of git that failed. `what` is what was tried, such as `fetch
 * https://host/repo.git`. git's last lines are its notes.
 */
export function gitFailure(what: string, { code, stderr }: GitOutput): KilnError {
  const notes = stderr
    .split('\n')
    .map(printable)
    .filter((line) => line !== '')
    .slice(-10);
  const meaning = CAUSES.find(([words]) => words.test(stderr));
  if (!meaning)
    return new KilnError('KILN_GIT_FAILED', `cannot ${what}: git ended with ${code}`, { notes });
  const [, kind, reason, hint] = meaning;
  return new KilnError(kind, `cannot ${what}: ${reason}`, { hint, notes });
}

/**
 * The error for a commit that is not in the history of any branch or tag that the server offers.
 */
export function noSuchCommit(remote: string, object: string): KilnError {
  return new KilnError('KILN_GIT_REF', `${remote} has no commit ${object}`, {
    hint: 'check the commit; not every server gives one that is on no branch or tag',
  });
}
