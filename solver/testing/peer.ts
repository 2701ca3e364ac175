import { deserialize, serialize } from 'node:v8';
import { CancelledError } from '../../base/errors.ts';
import { type Failure, fromFailure, toFailure } from '../../snapshotter/workers/wire.ts';

/**
 * Calls between two sides that exchange nothing but bytes. Each side can call the other, receive
 * events during a call and cancel it. Here the bytes go through a queue within the process; they
 * could as well go through a socket.
 */

/** The calls that one side serves, by name. Arguments, results and events are plain data. */
export type Methods = Readonly<
  Record<string, { readonly ask: unknown; readonly answer: unknown; readonly event?: unknown }>
>;

export type Handlers<M extends Methods> = {
  readonly [K in keyof M]: (
    ask: M[K]['ask'],
    call: { signal: AbortSignal; emit: (event: M[K]['event']) => void },
  ) => Promise<M[K]['answer']>;
};

export interface Peer<Theirs extends Methods> {
  /**
   * Calls `method` on the other side. Rejects with its error. Settles only when the call has ended
   * there, also after the signal aborts.
   */
  ask<K extends keyof Theirs & string>(
    method: K,
    ask: Theirs[K]['ask'],
    options?: {
      readonly signal?: AbortSignal;
      readonly onEvent?: (event: Theirs[K]['event']) => void;
    },
  ): Promise<Theirs[K]['answer']>;
}

type Message =
  | { readonly kind: 'ask'; readonly id: number; readonly method: string; readonly body: unknown }
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'event'; readonly id: number; readonly body: unknown }
  | { readonly kind: 'answer'; readonly id: number; readonly body: unknown }
  | { readonly kind: 'failure'; readonly id: number; readonly failure: Failure };

interface Waiting {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: unknown) => void;
  readonly onEvent: ((event: never) => void) | undefined;
}

/**
 * Makes one side of the connection. `send` sends its bytes; call `receive` with the bytes of the
 * other side.
 */
export function peer<Mine extends Methods, Theirs extends Methods>(
  handlers: Handlers<Mine>,
  send: (bytes: Uint8Array) => void,
): Peer<Theirs> & { readonly receive: (bytes: Uint8Array) => void } {
  const waiting = new Map<number, Waiting>();
  const running = new Map<number, AbortController>();
  let last = 0;
  const say = (message: Message) => send(serialize(message));

  async function serve({ id, method, body }: Message & { kind: 'ask' }): Promise<void> {
    const abort = new AbortController();
    running.set(id, abort);
    try {
      const call = {
        signal: abort.signal,
        emit: (event: unknown) => say({ kind: 'event', id, body: event }),
      };
      say({ kind: 'answer', id, body: await handlers[method]!(body, call) });
    } catch (error) {
      say({ kind: 'failure', id, failure: toFailure(error) });
    } finally {
      running.delete(id);
    }
  }

  function settle(id: number): Waiting {
    const found = waiting.get(id)!;
    waiting.delete(id);
    return found;
  }

  return {
    ask(method, body, { signal, onEvent } = {}) {
      const id = ++last;
      const { promise, resolve, reject } = Promise.withResolvers<never>();
      if (signal?.aborted) return Promise.reject(new CancelledError(signal.reason));
      waiting.set(id, { resolve, reject, onEvent });
      const cancel = () => say({ kind: 'cancel', id });
      signal?.addEventListener('abort', cancel, { once: true });
      say({ kind: 'ask', id, method, body });
      return promise.finally(() => signal?.removeEventListener('abort', cancel));
    },
    receive(bytes) {
      const message = deserialize(bytes) as Message;
      switch (message.kind) {
        case 'ask':
          void serve(message);
          return;
        case 'cancel':
          running.get(message.id)?.abort(new CancelledError());
          return;
        case 'event':
          waiting.get(message.id)?.onEvent?.(message.body as never);
          return;
        case 'answer':
          settle(message.id).resolve(message.body as never);
          return;
        case 'failure':
          settle(message.id).reject(fromFailure(message.failure));
      }
    },
  };
}

/**
 * A queue of bytes to a side that is connected later. Each message is copied, so that nothing else
 * of the sender reaches the receiver.
 */
export function line(): {
  readonly send: (bytes: Uint8Array) => void;
  readonly connect: (receive: (bytes: Uint8Array) => void) => void;
} {
  const receiver = Promise.withResolvers<(bytes: Uint8Array) => void>();
  return {
    send(bytes) {
      const copy = Uint8Array.from(bytes);
      void receiver.promise.then((receive) => receive(copy));
    },
    connect: receiver.resolve,
  };
}
