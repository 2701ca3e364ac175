import { Code, ConnectError } from '@connectrpc/connect';
import { ClientDriver } from '../gateway/client-driver.ts';
import { StatusHub } from './status-hub.ts';

/** A client may ask for a build before it has begun it. */
const WAIT_MS = 6_000;
/** Whoever asks for the progress of a build that has just ended gets it. */
const KEPT_MS = 10_000;

/** A build that a client has begun, as other calls find it. */
export class OpenBuild {
  readonly ref: string;
  readonly status = new StatusHub();
  /** By which the client drives the build, when it names no frontend. */
  readonly driver = new ClientDriver();

  constructor(ref: string) {
    this.ref = ref;
  }
}

/** The builds that are open, by the refs that clients give them. */
export class OpenBuilds {
  readonly #open = new Map<string, OpenBuild>();
  readonly #waiting = new Map<string, Set<(build: OpenBuild) => void>>();
  readonly #timers = new Set<NodeJS.Timeout>();

  /** Begins a build. Throws a ConnectError when the ref is in use. */
  begin(ref: string): OpenBuild {
    if (ref === '') throw new ConnectError('the build has no ref', Code.InvalidArgument);
    if (this.#open.has(ref))
      throw new ConnectError(`there is a build ${ref} already`, Code.AlreadyExists);
    const build = new OpenBuild(ref);
    this.#open.set(ref, build);
    for (const found of this.#waiting.get(ref) ?? []) found(build);
    return build;
  }

  /** The build is over. Its progress can be asked for a little longer. */
  end(build: OpenBuild): void {
    build.status.end();
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#open.delete(build.ref);
    }, KEPT_MS).unref();
    this.#timers.add(timer);
  }

  /** The build of that ref, waited for. Throws a ConnectError when it does not begin. */
  async find(ref: string, signal: AbortSignal): Promise<OpenBuild> {
    const open = this.#open.get(ref);
    if (open) return open;
    const { promise, resolve, reject } = Promise.withResolvers<OpenBuild>();
    const waiting = this.#waiting.get(ref) ?? new Set();
    this.#waiting.set(ref, waiting.add(resolve));
    const missing = () =>
      reject(new ConnectError(`there is no build ${JSON.stringify(ref)}`, Code.NotFound));
    const timer = setTimeout(missing, WAIT_MS);
    signal.addEventListener('abort', missing, { once: true });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', missing);
      waiting.delete(resolve);
      if (waiting.size === 0) this.#waiting.delete(ref);
    }
  }
}
