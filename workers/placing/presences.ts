import { KvWatchInclude } from '@nats-io/kv';
import { type OpenNats, PRESENCE_MS } from '../nats/open-nats.ts';
import { parseMessage, type WorkerPresence } from '../protocol.ts';

interface Heard {
  readonly presence: WorkerPresence;
  /** By the clock of this process, which no change of the time moves. Milliseconds. */
  readonly at: number;
}

/**
 * The workers that are there. They are read once, and watched from then on: whoever looks for a
 * worker asks nobody. A worker that was not heard for as long as its entry lives is gone.
 */
export class Presences {
  readonly #nats: OpenNats;
  readonly #heard = new Map<string, Heard>();
  #watching: Promise<void> | undefined;

  constructor(nats: OpenNats) {
    this.#nats = nats;
  }

  /** Rejects when NATS does not answer. */
  async present(): Promise<readonly WorkerPresence[]> {
    this.#watching ??= this.#watch();
    try {
      await this.#watching;
    } catch (error) {
      this.#watching = undefined;
      throw error;
    }
    const oldest = performance.now() - PRESENCE_MS;
    return [...this.#heard.values()].flatMap(({ presence, at }) => (at < oldest ? [] : [presence]));
  }

  async #watch(): Promise<void> {
    const { workers } = this.#nats;
    const changes = await workers.watch({ include: KvWatchInclude.UpdatesOnly });
    void (async () => {
      for await (const { key, value, operation } of changes)
        this.#hear(key, operation === 'PUT' ? value : undefined);
      // The connection is closed, or NATS has lost the watch.
      this.#watching = undefined;
    })();
    for await (const key of await workers.keys()) {
      const entry = await workers.get(key);
      // What was heard meanwhile is newer.
      if (entry && !this.#heard.has(key)) this.#hear(key, entry.value);
    }
  }

  #hear(key: string, value: Uint8Array | undefined): void {
    const presence = value && parseMessage<WorkerPresence>(value, ['worker']);
    if (presence) this.#heard.set(key, { presence, at: performance.now() });
    else this.#heard.delete(key);
  }
}
