import type { Digest } from '../base/digest.ts';
import type { ProcessSpec } from '../executor/executor.ts';
import type { ForwardedAgent, SocketAccess } from '../executor/ssh/forward.ts';
import type { SshAgent } from './ops/git/host.ts';
import type { Resolved } from './ops/git/resolved.ts';
import type { Answer } from './ops/http/answer.ts';
import type { DirectoryResult } from './result.ts';

/**
 * # What a caller lends to the steps of its build
 *
 * Secrets, ssh agents and directories belong to one build, not to the process: two builds that run
 * at the same time may have the same steps and lend them different things. So an op is made without
 * them, and gets its build's session each time that it is asked for its key (`MapReport.session`)
 * or run (`RunContext.session`):
 *
 *     caller → SolverOptions.session → the solver passes it on → sessionOf(context) in an op
 *
 * The solver does not know what a session is. `stepSession` makes one, `sessionOf` finds it again.
 *
 * Nothing of a session is in a key except what `secretMark` answers. Two builds that come to one
 * key therefore run it once, with what the build lends that is first.
 */
export interface StepSession {
  /**
   * The bytes of a secret, or undefined when none of that id was lent. Asked only when a step needs
   * it.
   */
  readonly secret: (id: string) => Promise<Uint8Array | undefined>;
  /**
   * What a step that reads the secret has in its key for it; undefined unless the caller wants
   * that. Never tells anything of the bytes.
   */
  readonly secretMark?: ((id: string) => Promise<string | undefined>) | undefined;
  /**
   * A new socket, with this owner and mode, behind which the ssh agent of that id answers;
   * undefined when none was lent.
   */
  readonly sshSocket: (id: string, access: SocketAccess) => Promise<ForwardedAgent | undefined>;
  /**
   * The ssh agent of that id (`default` unless a graph says otherwise) for a git that runs on this
   * host; undefined when none was lent. Disposed when the command that uses it has ended.
   */
  readonly gitAgent: (id: string) => Promise<SshAgent | undefined>;
  /** The directory behind `local://NAME`, or undefined when none of that name was lent. */
  readonly directory: (name: string) => DirectoryResult | undefined;
  /** Told of each step that failed on this host; its tree and mounts go when this is done. */
  readonly onStepFailed?: ((step: FailedStep, signal: AbortSignal) => Promise<void>) | undefined;
  readonly found: FoundSources;
}

/**
 * A step whose command failed, with its tree and mounts as it left them: `spec` can be run again
 * over them, with another command.
 */
export interface FailedStep {
  readonly vertex: Digest;
  readonly spec: ProcessSpec;
  readonly exitCode: number;
}

/**
 * What sources that can change came to in this build: each is asked once, and all steps see the
 * same. It belongs to the session because the answer was given to this caller's login.
 */
export interface FoundSources {
  /** Refs of git remotes, by remote, ref and checksum. */
  readonly refs: Map<string, Promise<Resolved>>;
  /** Files by http, by request. */
  readonly answers: Map<Digest, Promise<Answer>>;
}

const sessions = new WeakSet<object>();

/** A session that lends `what`, and nothing else. */
export function stepSession(what: Partial<Omit<StepSession, 'found'>> = {}): StepSession {
  const session: StepSession = {
    secret: async () => undefined,
    sshSocket: async () => undefined,
    gitAgent: async () => undefined,
    directory: () => undefined,
    found: { refs: new Map(), answers: new Map() },
    ...what,
  };
  sessions.add(session);
  return session;
}

/** The session that an op was handed. Where the solver was given none, nothing is lent. */
export function sessionOf(context: { readonly session?: unknown } | undefined): StepSession {
  const session = context?.session;
  if (session === undefined) return stepSession();
  if (isStepSession(session)) return session;
  throw new TypeError('the session of a solve was not made by stepSession');
}

function isStepSession(value: unknown): value is StepSession {
  return typeof value === 'object' && value !== null && sessions.has(value);
}
