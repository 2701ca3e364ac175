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

  async able({ platform, distrusted }: Omit<WorkWanted, 'key'>): Promise<readonly string[]> {
    if (distrusted.has(this.#address)) return [];
    this.#told ??= this.#platforms();
    return (await this.#told).includes(formatPlatform(platform)) ? [this.#address] : [];
  }

  /**
   * The first platform that a server tells is its own. What it tells besides is emulated, or of the
   * same family: which of both it does not say.
   */
  async #platforms(): Promise<readonly string[]> {
    using server = await openServer(this.#address, this.#flag);
    const signal = AbortSignal.timeout(ASK_MS);
    const { record } = await server.client.unary(Control.method.listWorkers, {}, signal);
    return record.flatMap(({ platforms: [own] }) => (own ? [formatPlatform(platformIn(own))] : []));
  }

  async withWorker<T>(
    wanted: WorkWanted,
    signal: AbortSignal,
    use: UseWorker<T>,
  ): Promise<T | undefined> {
    if ((await this.able(wanted)).length === 0) return undefined;
    using server = await openServer(this.#address, this.#flag);
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
