import type { Digest } from '../base/digest.ts';
import type { Platform } from '../base/platform.ts';
import type { DeviceRequest } from '../executor/cdi/cdi.ts';
import type { ProcessSpec } from '../executor/executor.ts';
import type { ResourceLimits } from '../executor/limits.ts';
import type { ForwardedAgent, SocketAccess } from '../executor/ssh/forward.ts';
import type { RegistryOptions } from '../registry/client.ts';
import type { LookUps } from '../registry/tags.ts';
import type { LayerId } from '../snapshotter/snapshotter.ts';
import type { SshAgent } from './ops/git/host.ts';
import type { Resolved } from './ops/git/resolved.ts';
import type { Answer } from './ops/http/answer.ts';
import type { BuildResult, DirectoryResult } from './result.ts';

/**
 * # What a build hands to its steps
 *
 * Secrets, ssh agents, logins, directories and permissions belong to one build, not to the process.
 * Two builds in one process may have the same steps and hand them different things. So an op is
 * made without them. It is passed the session of its build with each call of `cacheMap`
 * (`MapReport.session`) and `run` (`RunContext.session`):
 *
 *     caller → SolverOptions.session → the solver passes it on → sessionOf(context) in an op
 *
 * The solver does not know what a session is. `stepSession` makes one; `sessionOf` gets it from the
 * context of a call.
 *
 * Nothing of a session is part of a key except what `secretMark` returns. Two builds that have a
 * step with the same key therefore run it once, with what the first of them lends.
 */
export interface StepSession extends AsyncDisposable {
  /**
   * The bytes of a secret. Undefined if the caller lent none with this id. Called only when a step
   * needs it.
   */
  readonly secret: (id: string) => Promise<Uint8Array | undefined>;
  /**
   * What represents the secret in the key of a step that reads it. Undefined if the secret does not
   * affect the key, which is the default. Reveals nothing about the bytes (an HMAC).
   */
  readonly secretMark?: ((id: string) => Promise<string | undefined>) | undefined;
  /**
   * Makes a socket with this owner and mode that is connected to the ssh agent `id`. Undefined if
   * the caller lent no agent with this id.
   */
  readonly sshSocket: (id: string, access: SocketAccess) => Promise<ForwardedAgent | undefined>;
  /**
   * The ssh agent `id` for a git command on this host (`default` if the graph names none).
   * Undefined if the caller lent none. Dispose it when the command has ended.
   */
  readonly gitAgent: (id: string) => Promise<SshAgent | undefined>;
  /**
   * The directory of the source `local://NAME`, with at least the files in `wanted`. Undefined if
   * the caller lent none with this name.
   */
  readonly directory: (name: string, wanted: WantedFiles) => Promise<DirectoryResult | undefined>;
  /**
   * What the client uploads at a URL of UPLOADS (ops/http/uploaded.ts), such as a context on its
   * standard input. Undefined for more than `max` bytes. Absent when the caller is no client.
   */
  readonly upload?: ((url: string, max: number) => Promise<Buffer | undefined>) | undefined;
  /**
   * The absolute path of the OCI layout to which sources refer by this name, with at least the
   * image of that digest.
   */
  readonly layout: (name: string, digest?: Digest) => Promise<string | undefined>;
  /** The path of a blob in the OCI layout of this name. Its bytes are not verified. */
  readonly layoutBlob: (name: string, digest: Digest) => Promise<string | undefined>;
  /** How registries are reached for this build, with the logins of its caller. */
  readonly registry: RegistryOptions;
  /** When registries are asked what a tag means. */
  readonly lookUps: LookUps;
  /** The entitlements that steps may use: `network.host`, `security.insecure`, `device`. */
  readonly allowed: ReadonlySet<string>;
  /** Devices that are given to every step. */
  readonly devices: readonly DeviceRequest[];
  /** The resources that each step may use at most. */
  readonly limits?: ResourceLimits | undefined;
  /** Returns variables of a step that are no part of its key, as `NAME=value`. */
  readonly variables?: ((vertex: Digest) => readonly string[]) | undefined;
  /** Called with a sentence that the caller should know, and that is not about one step. */
  readonly warn?: ((sentence: string) => void) | undefined;
  /** Called with each step that ran on an emulated processor, even if it failed. */
  readonly onEmulated?: ((step: EmulatedStep) => void) | undefined;
  /** Called with each layer that a step made on this host, so that work on it can begin early. */
  readonly onLayer?: ((layer: LayerId) => void) | undefined;
  /**
   * Called with each step that failed on this host. Its tree and mounts are kept until the promise
   * settles.
   */
  readonly onStepFailed?: ((step: FailedStep, signal: AbortSignal) => Promise<void>) | undefined;
  /** Called with each op that failed on this host, after `onStepFailed`. */
  readonly keepFailed?: KeepFailed | undefined;
  readonly found: FoundSources;
  /** Warnings that the caller of the build has already got. */
  readonly warnedOf: Set<string>;
  /** The cache mounts that this build has emptied (`--no-cache`). */
  readonly emptiedCaches: Set<string>;
  /** What a worker opens for this build. It is closed when the build disposes of the session. */
  readonly scope: AsyncDisposableStack;
}

/** A step that ran on an emulated processor. */
export interface EmulatedStep {
  readonly vertex: Digest;
  readonly platform: Platform;
  /** The emulator, such as `qemu-aarch64-static`. */
  readonly emulator: string;
}

/**
 * The files that a build reads of a directory. A directory of this host is read in place. Of a
 * directory on another host, only these files are transferred. Patterns have the syntax of
 * `.dockerignore`.
 */
export interface WantedFiles {
  /** Only files that match one of these patterns; all files if empty. */
  readonly include: readonly string[];
  /** Files that match one of these patterns are left out. */
  readonly exclude: readonly string[];
  /** Only these paths and the targets of their symlinks; all files if empty. */
  readonly follow: readonly string[];
  /** The id of the session that lends the directory. Empty means the session of the build. */
  readonly session: string;
  /** Separates transfers of one directory for different purposes. */
  readonly purpose: string;
  /**
   * How files that were transferred before are compared: `none` asks for all content again,
   * `metadata` for that of files of another size, time or mode alone. The default asks for content
   * that may have changed.
   */
  readonly differ?: 'none' | 'metadata' | undefined;
  /** If given, only files that match one of these patterns are transferred; the others are told. */
  readonly exceptMetadata?: readonly string[] | undefined;
}

/**
 * A step whose command failed. Its tree and mounts are as the command left them: `spec` can be run
 * again on them with another command.
 */
export interface FailedStep {
  readonly vertex: Digest;
  readonly spec: ProcessSpec;
  readonly exitCode: number;
}

/**
 * What an op that failed was made of, and what it has left, as results. They remain until the
 * session is disposed, and nothing is recorded of them. Undefined where there is none.
 */
export interface LeftResults {
  /** By the mounts of a process, or by the inputs of file actions. */
  readonly before: readonly (BuildResult | undefined)[];
  /** By the mounts of a process, or by the file actions. */
  readonly after: readonly (BuildResult | undefined)[];
  /** The index of the file action that failed. */
  readonly action?: number | undefined;
  /** The index of the input that could not be read for the key. It is the only one of `before`. */
  readonly cache?: number | undefined;
}

/** Receives what an op that failed has left. `leave` makes the results. */
export type KeepFailed = (vertex: Digest, leave: () => Promise<LeftResults>) => Promise<void>;

/**
 * What this build found at sources that can change. Each source is looked up once per build, so
 * that all steps see the same. It belongs to the session because a server may answer differently to
 * another login.
 */
export interface FoundSources {
  /** The commits of git refs. The map's key is the JSON of remote, ref and checksum. */
  readonly refs: Map<string, Promise<Resolved>>;
  /** Files fetched by http. The map's key is `requestId` (ops/http/http-source.ts). */
  readonly answers: Map<Digest, Promise<Answer>>;
  /** The names of the directories that graphs of the build read. */
  readonly locals: Set<string>;
}

const sessions = new WeakSet<object>();

/** The parts of a session that its maker gives. The others begin empty. */
export type StepSessionOptions = Partial<
  Omit<StepSession, 'found' | 'warnedOf' | 'emptiedCaches' | 'scope' | typeof Symbol.asyncDispose>
>;

/** Makes a session that lends `what` and nothing else. */
export function stepSession(what: StepSessionOptions = {}): StepSession {
  const scope = new AsyncDisposableStack();
  const session: StepSession = {
    secret: async () => undefined,
    sshSocket: async () => undefined,
    gitAgent: async () => undefined,
    directory: async () => undefined,
    found: { refs: new Map(), answers: new Map(), locals: new Set() },
    layout: async () => undefined,
    layoutBlob: async () => undefined,
    registry: {},
    lookUps: 'ask',
    allowed: new Set(),
    devices: [],
    warnedOf: new Set(),
    emptiedCaches: new Set(),
    scope,
    [Symbol.asyncDispose]: () => scope.disposeAsync(),
    ...what,
  };
  sessions.add(session);
  return session;
}

/**
 * The session in the context of a call of an op. If the solver has none, a session that lends
 * nothing. Throws a TypeError for an object that `stepSession` did not make.
 */
export function sessionOf(context: { readonly session?: unknown } | undefined): StepSession {
  const session = context?.session;
  if (session === undefined) return stepSession();
  if (isStepSession(session)) return session;
  throw new TypeError('the session of a solve was not made by stepSession');
}

function isStepSession(value: unknown): value is StepSession {
  return typeof value === 'object' && value !== null && sessions.has(value);
}

/**
 * Returns a function that makes one value for each session, when it is first called with it. A
 * value that has to be closed registers that with the `scope` of the session.
 */
export function perSession<T extends object>(
  make: (session: StepSession) => T,
): (session: StepSession) => T {
  const made = new WeakMap<StepSession, T>();
  return (session) => {
    let value = made.get(session);
    if (!value) made.set(session, (value = make(session)));
    return value;
  };
}
