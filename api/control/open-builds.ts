import { Code, ConnectError } from '@connectrpc/connect';
import { ClientDriver } from '../gateway/client-driver.ts';
import { FailedSteps } from '../gateway/failed-steps.ts';
import { Refs } from '../gateway/refs.ts';
import { OpenByName } from '../open-by-name.ts';
import type { ClientCaches } from './cache-options.ts';
import { StatusHub } from './status-hub.ts';

/** A client may ask for a build before it has begun it. */
const WAIT_MS = 6_000;
/** Whoever asks for the progress of a build that has just ended gets it. */
const KEPT_MS = 10_000;

/** After so long without a build, a server is quiet. */
const QUIET_MS = 2_000;

/** A build that a client has begun, as other calls find it. */
export class OpenBuild {
  readonly ref: string;
  readonly status = new StatusHub();
  /** The sessions that lend directories, by the names of the directories, as the client tells. */
  readonly lenders = new Map<string, string>();
  /** The results of the build that the client may name. */
  readonly refs = new Refs();
  /** True when the client has named outputs. */
  hasOutputs = false;
  /** By which the client drives the build, when it names no frontend. */
  readonly driver = new ClientDriver();
  /** The graphs that the client brings for whoever asks (`Inputs`), each a pb.Definition. */
  readonly inputs: Readonly<Record<string, Uint8Array>>;
  /** What its failed steps have left. */
  readonly failed = new FailedSteps();
  /** Where caches of the client's directories come from. Set before the build is driven. */
  caches: ClientCaches | undefined;

  constructor(ref: string, inputs: OpenBuild['inputs']) {
    this.ref = ref;
    this.inputs = inputs;
  }
}

/** The builds that are open, by the refs that clients give them. */
export class OpenBuilds {
  readonly #open = new OpenByName<OpenBuild>('build', WAIT_MS, 'no such job');
  readonly #running = new Set<OpenBuild>();
  readonly #quiet: () => void;
  #idle: (() => void) | undefined;
  #untilQuiet: NodeJS.Timeout | undefined;

  /** `quiet` is called when no build has run for some time. */
  constructor(quiet: () => void = () => {}) {
    this.#quiet = quiet;
    this.#whenQuiet();
  }

  /** Begins a build. Throws a ConnectError when the ref is in use. */
  begin(ref: string, inputs: OpenBuild['inputs'] = {}): OpenBuild {
    if (ref === '') throw new ConnectError('the build has no ref', Code.InvalidArgument);
    const build = new OpenBuild(ref, inputs);
    this.#open.add(ref, build);
    clearTimeout(this.#untilQuiet);
    this.#running.add(build);
    return build;
  }

  /** The build is over. Its progress can be asked for a little longer. */
  end(build: OpenBuild): void {
    build.status.end();
    this.#running.delete(build);
    if (this.#running.size === 0) {
      this.#idle?.();
      this.#whenQuiet();
    }
    setTimeout(() => this.#open.delete(build.ref), KEPT_MS).unref();
  }

  /** Settles when no build runs. */
  async idle(): Promise<void> {
    if (this.#running.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }

  #whenQuiet(): void {
    this.#untilQuiet = setTimeout(this.#quiet, QUIET_MS).unref();
  }

  isRunning(ref: string): boolean {
    return this.#running.values().some((build) => build.ref === ref);
  }

  /** The build of that ref, waited for. Throws a ConnectError when it does not begin. */
  find(ref: string, signal: AbortSignal): Promise<OpenBuild> {
    return this.#open.find(ref, signal);
  }
}
