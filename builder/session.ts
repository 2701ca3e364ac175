import type { Executor } from '../executor/executor.ts';
import type { ForwardedAgent, SocketAccess } from '../executor/ssh/forward.ts';
import type { RegistryOptions } from '../registry/client.ts';
import type { SshAgent } from '../solver/ops/git/host.ts';
import type { FailedStep, WantedFiles } from '../solver/step-session.ts';

/**
 * # What a caller lends to one build
 *
 * Directories, secrets, ssh agents, credentials, input and a place for output. A session is a value
 * that is handed to the run of a step and never outlives its build: two builds at once in one
 * engine see nothing of each other's. `localSession` of the command line lends what the process
 * has; `memorySession` lends what a program holds; a client behind a connection lends what it
 * answers.
 */
export interface Session {
  /**
   * The directory of that name, with at least what is wanted of it. Throws KILN_CONTEXT_NOT_FOUND
   * when there is none, and what its file system says.
   */
  directory(name: string, wanted: WantedFiles): Promise<LentDirectory>;
  /**
   * Says the same of a lent directory in this build and in later ones, and something else of
   * another directory: its path, where it has one here.
   */
  placeOf(name: string): string;
  /**
   * A file of the caller's that lies in no lent directory: a Dockerfile named by its path.
   * Undefined when it is larger than `max`.
   */
  file(path: string, max: number): Promise<Buffer | undefined>;
  /**
   * All of the input, asked at most once; undefined when it has more bytes than `max` says on
   * seeing the first of them, which is found without reading on.
   */
  input(max: number | ((start: Buffer) => number)): Promise<Buffer | undefined>;
  /** The bytes of a secret; undefined when none of that id is lent. */
  secret(id: string): Promise<Uint8Array | undefined>;
  readonly ssh: SessionAgents;
  /** What the caller calls its context, for the list of builds. */
  readonly shownContext?: string | undefined;
  /** Logins for registries that go before the engine's own. */
  readonly credentials?: RegistryOptions['credentials'] | undefined;
  /** Where an output that goes to the caller itself is written. */
  readonly output?: ((bytes: Uint8Array, signal: AbortSignal) => Promise<void>) | undefined;
  /** Looks at a step that failed, while its tree and mounts are there. */
  readonly onStepFailed?:
    | ((step: FailedStep, executor: Executor, signal: AbortSignal) => Promise<void>)
    | undefined;
}

/** Everything that is in a directory. */
export const WHOLE: WantedFiles = { include: [], exclude: [], follow: [], purpose: '' };

/** Only these files of a directory, with what they link to. */
export function onlyFiles(follow: readonly string[]): WantedFiles {
  return { ...WHOLE, follow, purpose: follow.join('\0') };
}

export interface LentDirectory {
  /** Absolute, on this host. It has to stay as it is while the build reads it. */
  readonly path: string;
  /** The same directory in the next build? Then file digests are worth remembering. */
  readonly remembered: boolean;
}

/** The ssh agents of a session. */
export interface SessionAgents {
  /** Looks at what is lent, so that what is not there is told before anything is built. */
  readonly check: () => Promise<void>;
  readonly forStep: (id: string, access: SocketAccess) => Promise<ForwardedAgent | undefined>;
  /**
   * The one for git, which is trusted: the agent itself where it has a socket. Its path is short
   * enough for a socket's address.
   */
  readonly forGit: (id: string) => Promise<SshAgent | undefined>;
}

/** A session that lends no agent. */
export const NO_AGENTS: SessionAgents = {
  check: async () => {},
  forStep: async () => undefined,
  forGit: async () => undefined,
};
