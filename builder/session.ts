import type { Digest } from '../base/digest.ts';
import type { LookListener, Tree } from '../cache/contenthash.ts';
import type { Executor } from '../executor/executor.ts';
import type { ForwardedAgent, SocketAccess } from '../executor/ssh/forward.ts';
import type { ExportResponse } from '../exporter/exporter.ts';
import type { LayoutSink } from '../exporter/layout-sink.ts';
import type { RegistryOptions } from '../registry/client.ts';
import type { SshAgent } from '../solver/ops/git/host.ts';
import type { FailedStep, KeepFailed, WantedFiles } from '../solver/step-session.ts';
import type { SourceVerifier } from './source-verifier.ts';

/**
 * # What a caller lends to one build
 *
 * Directories, secrets, ssh agents, logins, input and a place for output. A session belongs to one
 * build. A step gets it when it runs, and nothing keeps it after the build, so two builds in one
 * engine never see each other's session.
 *
 * `localSession` (cli/local-session.ts) lends what the process has: files, standard input, agents.
 * `memorySession` lends values of a program. A server can make a session that asks its client.
 */
export interface Session {
  /**
   * The ID by which graphs name the session that has a directory. Undefined when graphs of other
   * builds cannot name this session.
   */
  readonly id?: string | undefined;
  /**
   * The directory that the session has under this name. It holds at least the `wanted` files.
   * Throws KILN_CONTEXT_NOT_FOUND when there is none, and errors of the file system.
   */
  directory(name: string, wanted: WantedFiles): Promise<LentDirectory>;
  /**
   * A name by which later builds can tell that they have the same directory: its path, if it has a
   * path on this host.
   */
  placeOf(name: string): string;
  /**
   * Reads a file of the caller that is in none of those directories, such as a Dockerfile given by
   * its path. Returns undefined when the file has more than `max` bytes.
   */
  file(path: string, max: number): Promise<Buffer | undefined>;
  /**
   * Reads all of the input. A build calls it at most once. `max` is a number of bytes, or a
   * function of the first bytes that returns the number. Returns undefined when the input is
   * longer, without reading the rest. `name` says which input is meant when there are several.
   */
  input(
    max: number | ((start: Buffer) => number),
    name?: string | undefined,
  ): Promise<Buffer | undefined>;
  /** The bytes of a secret. Undefined when the session has no secret with this ID. */
  secret(id: string): Promise<Uint8Array | undefined>;
  readonly ssh: SessionAgents;
  /** The name of the context in the list of builds. */
  readonly shownContext?: string | undefined;
  /** Logins for registries. Without them the build uses registries anonymously. */
  readonly credentials?: RegistryOptions['credentials'] | undefined;
  /**
   * Writes the next bytes of the output that the request calls `name`. That of `dest=-` is called
   * `stdout`. `about` is what is told of the output when it is an image.
   */
  readonly output?:
    | ((
        bytes: Uint8Array,
        signal: AbortSignal,
        name: string,
        about?: ExportResponse,
      ) => Promise<void>)
    | undefined;
  /**
   * The store of the caller that takes the blobs of the layout for `directory`. Undefined for a
   * directory of this host.
   */
  readonly layout?: ((directory: string) => LayoutSink | undefined) | undefined;
  /**
   * Returns variables of a step that are no part of its key, as `NAME=value`, such as the place of
   * the step in a trace. `build` is the ID of the build.
   */
  readonly stepVariables?: ((vertex: Digest, build: string) => readonly string[]) | undefined;
  /** Decides about the sources of the build, after the policies of the request. */
  readonly verifySource?: SourceVerifier | undefined;
  /** Receives what the ops that failed have left, for somebody who wants to look into it. */
  readonly keepFailed?: KeepFailed | undefined;
  /** Called with a step that failed. Its tree and mounts are kept until the promise settles. */
  readonly onStepFailed?:
    | ((step: FailedStep, executor: Executor, signal: AbortSignal) => Promise<void>)
    | undefined;
}

/** The name of the only file in a directory that is one blob of a layout. */
export const BLOB_FILE = 'blob';

/** All files of a directory. */
export const WHOLE: WantedFiles = {
  include: [],
  exclude: [],
  follow: [],
  session: '',
  purpose: '',
};

/** Only these files of a directory, and the targets of their links. */
export function onlyFiles(follow: readonly string[]): WantedFiles {
  return { ...WHOLE, follow, purpose: follow.join('\0') };
}

/** A directory of a session. */
export interface LentDirectory {
  /** How many bytes of its files were brought for this. Undefined when it is read in its place. */
  readonly received?: number | undefined;
  /** Absolute, on this host. Its files must not change while the build reads them. */
  readonly path: string;
  /** The next build may have the same directory, so the digests of its files are remembered. */
  readonly remembered: boolean;
  /** A different text whenever anything in it has changed. Absent when that is not known. */
  readonly version?: string | undefined;
  /** What was found in it before, and has not changed since: see `Tree.looks`. */
  readonly looks?: Tree['looks'];
  /** Is told of each path of it that the build looks up: see `Tree.onLook`. */
  readonly onLook?: LookListener | undefined;
}

/** The ssh agents of a session. */
export interface SessionAgents {
  /** Throws when an agent of the session cannot be used. Called before anything is built. */
  readonly check: () => Promise<void>;
  /**
   * Makes a socket with this owner and mode that is connected to the agent `id`, for a step.
   * Undefined when the session has no such agent.
   */
  readonly forStep: (id: string, access: SocketAccess) => Promise<ForwardedAgent | undefined>;
  /**
   * The agent `id` for git on this host. Git is trusted, so it gets the socket of the agent itself
   * when there is one. The path of the socket is short enough for a socket address.
   */
  readonly forGit: (id: string) => Promise<SshAgent | undefined>;
}

/** The agents of a session that has none. */
export const NO_AGENTS: SessionAgents = {
  check: async () => {},
  forStep: async () => undefined,
  forGit: async () => undefined,
};
