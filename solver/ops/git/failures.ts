import { KilnError } from '../../../base/errors.ts';
import { printable } from '../../../registry/failures.ts';
import type { GitOutput } from './command.ts';

/** Matches a text that contains one of these patterns, in any case. */
function oneOf(...patterns: readonly string[]): RegExp {
  return new RegExp(patterns.join('|'), 'i');
}

/** What git's words mean, in the order in which they are looked for. */
const MEANINGS: readonly (readonly [RegExp, KilnError['code'], string, string])[] = [
  [
    oneOf(
      'could not read Username',
      'Authentication failed',
      'Permission denied',
      'HTTP Basic: Access denied',
      'returned error: 40[13]',
    ),
    'KILN_GIT_DENIED',
    'the repository does not exist, or wants a login',
    'check the URL; for a private repository give --secret id=GIT_AUTH_TOKEN,env=TOKEN, or ' +
      '--ssh default for an ssh URL',
  ],
  [
    /Host key verification failed|HOST IDENTIFICATION HAS CHANGED/i,
    'KILN_GIT_HOST_KEY',
    'the host has another key than the one that is known',
    'if the host has a new key for a good reason, remove the old one from known_hosts',
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
    'there is no such repository',
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
    'there is no trusted TLS connection to the host',
    'set GIT_SSL_CAINFO to the file of the CA that signed its certificate',
  ],
  [
    /transport '.*' not allowed/,
    'KILN_GIT_URL',
    'the repository names a place by a protocol that is not allowed',
    'only http, https, ssh and git are',
  ],
];

/**
 * A run of git that failed, in the user's words. `what` is what was tried, such as `fetch
 * https://host/repo.git`.
 */
export function gitFailure(what: string, { code, stderr }: GitOutput): KilnError {
  const notes = stderr
    .split('\n')
    .map(printable)
    .filter((line) => line !== '')
    .slice(-10);
  const meaning = MEANINGS.find(([words]) => words.test(stderr));
  if (!meaning)
    return new KilnError('KILN_GIT_FAILED', `cannot ${what}: git ended with ${code}`, { notes });
  const [, kind, reason, hint] = meaning;
  return new KilnError(kind, `cannot ${what}: ${reason}`, { hint, notes });
}

/** The server has all its refs given, and what was asked for is not below any of them. */
export function noSuchCommit(remote: string, object: string): KilnError {
  return new KilnError('KILN_GIT_REF', `${remote} has no commit ${object}`, {
    hint: 'check the commit; one that no branch or tag leads to cannot always be had',
  });
}
