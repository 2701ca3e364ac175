import { watchPeer } from '../../api/grpc/watch-peer.ts';
import { Control } from '../../api/proto/control.gen.ts';
import { formatPlatform, normalisePlatform, type Platform } from '../../base/platform.ts';
import { openServer } from '../../remote/open-server.ts';
import { LostWorker, type MachinePool, type UseWorker, type WorkWanted } from './pool.ts';

/** How long a server may take to tell what it is, in milliseconds. */
const ASK_MS = 10_000;

/** A server of BuildKit's API, Kiln or buildkitd, as a worker. */
export class ApiPool implements MachinePool {
  readonly remembers = false;
  readonly #address: string;
  readonly #flag: string;
  #told: Promise<readonly string[]> | undefined;

  constructor(address: string, flag: string) {
    this.#address = address;
    this.#flag = flag;
  }

  async #isAble({ platform, distrusted }: WorkWanted, signal: AbortSignal): Promise<boolean> {
    if (distrusted.has(this.#address)) return false;
    this.#told ??= this.#platforms(signal);
    try {
      return (await this.#told).includes(formatPlatform(platform));
    } catch (error) {
      this.#told = undefined;
      throw error;
    }
  }

  /**
   * The first platform that a server tells is its own. What it tells besides is emulated, or of the
   * same family: which of both it does not say.
   */
  async #platforms(over: AbortSignal): Promise<readonly string[]> {
    const late = AbortSignal.timeout(ASK_MS);
    const signal = AbortSignal.any([over, late]);
    using server = await openServer(this.#address, this.#flag, { within: ASK_MS, signal });
    const { record } = await server.client.unary(Control.method.listWorkers, {}, signal);
    return record.flatMap(({ platforms: [own] }) => (own ? [formatPlatform(platformIn(own))] : []));
  }

  async withWorker<T>(
    wanted: WorkWanted,
    signal: AbortSignal,
    use: UseWorker<T>,
  ): Promise<T | undefined> {
    if (!(await this.#isAble(wanted, signal))) return undefined;
    using server = await openServer(this.#address, this.#flag, { within: ASK_MS, signal });
    using _watch = watchPeer(server.client);
    try {
      return await use(server, this.#address, signal);
    } catch (error) {
      throw !signal.aborted && server.client.closed.aborted ? new LostWorker(this.#address) : error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function platformIn({ os, architecture, variant }: ToldPlatform): Platform {
  return normalisePlatform({ os, architecture, ...(variant !== '' && { variant }) });
}

interface ToldPlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}
