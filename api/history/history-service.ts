import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import type { Control } from '../proto/control.gen.ts';
import type { BuildTraces } from '../trace/build-traces.ts';
import type { BuildHistory, HistoryEvent } from './build-history.ts';
import type { BuildRecord } from './build-record.ts';
import { historyFilter } from './history-filter.ts';
import { historyMessage } from './history-messages.ts';

const CURRENT_TIME = 'buildkit-current-timestamp';

type HistoryMethods = 'listenBuildHistory' | 'updateBuildHistory';

/** # The methods of Control for the history of builds */
export function historyMethods(
  history: BuildHistory,
  traces: BuildTraces,
  stopping: AbortSignal,
): Pick<ServiceImpl<typeof Control>, HistoryMethods> {
  return {
    async *listenBuildHistory({ activeOnly, ref, earlyExit, filter, limit }, context) {
      const matches = historyFilter(filter);
      // By the clock of this host, a client tells how long a build has been running.
      context.responseHeader.set(CURRENT_TIME, new Date().toISOString());
      const isWanted = (record: BuildRecord) =>
        (ref === '' || record.ref === ref) && matches(record);
      const found = () => (ref === '' ? history.records() : history.recordsOf(ref));
      const live = new EventQueue(AbortSignal.any([context.signal, stopping]));
      using _listening = history.listen((event) => live.add(event));
      const records = found().filter((record) => isWanted(record));
      const shown = activeOnly ? records.filter(({ ended }) => !ended) : records;
      for (const record of limit > 0 ? shown.slice(0, limit) : shown)
        yield historyMessage({ kind: record.ended ? 'complete' : 'started', record }, history);
      if (earlyExit) return;
      for await (const event of live)
        if (event.kind === 'deleted' ? ref === '' || event.ref === ref : isWanted(event.record))
          yield historyMessage(event, history);
    },

    async updateBuildHistory({ ref, pinned, delete: remove, finalize }) {
      if (finalize) {
        traces.finalize(ref);
        return {};
      }
      const record = history.find(ref);
      if (!record)
        throw new ConnectError(`there is no build ${JSON.stringify(ref)}`, Code.NotFound);
      if (remove) {
        if (!record.ended)
          throw new ConnectError(`the build ${ref} has not ended`, Code.FailedPrecondition);
        history.remove(record);
      } else history.pin(record, pinned);
      return {};
    },
  };
}

/** So many events wait for a client that does not read. */
const MAX_WAITING = 10_000;

/** What happens while somebody is told of what happened before. Ends when `signal` aborts. */
class EventQueue {
  readonly #signal: AbortSignal;
  readonly #events: HistoryEvent[] = [];
  #wake: (() => void) | undefined;
  #isFull = false;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake?.(), { once: true });
  }

  add(event: HistoryEvent): void {
    if (this.#events.length < MAX_WAITING) this.#events.push(event);
    else this.#isFull = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<HistoryEvent> {
    while (!this.#signal.aborted) {
      yield* this.#events.splice(0);
      if (this.#isFull)
        throw new ConnectError('events were not read in time', Code.ResourceExhausted);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (this.#events.length > 0 || this.#signal.aborted) resolve();
      });
    }
  }
}
