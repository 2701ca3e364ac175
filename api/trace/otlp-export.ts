import { setTimeout } from 'node:timers/promises';
import { toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { messageOf } from '../../base/errors.ts';
import {
  type ExportTraceServiceRequest,
  ExportTraceServiceRequestSchema,
  TraceService,
} from '../proto/trace.gen.ts';

/** A collector of traces that speaks OTLP. */
export interface TraceCollector {
  readonly protocol: 'grpc' | 'http/protobuf';
  /** With the path when the protocol is http. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Sends spans and waits for nothing. */
export type SendSpans = (message: ExportTraceServiceRequest) => void;

/** The way to a collector. Disposed, it waits a moment for what is being sent. */
export interface SpanSender extends AsyncDisposable {
  readonly send: SendSpans;
}

/** A collector that does not answer in this time is given up. */
const TIMEOUT_MS = 10_000;
/** So long the end of a server waits for a collector, in milliseconds. */
const LAST_MS = 1_000;
/** So many messages wait for their answers. What comes then is dropped. */
const MAX_SENDING = 16;

/**
 * Opens the way to a collector. `warn` is told once when it cannot be reached, and again after it
 * could be. Disposing it waits at most `lastMs` milliseconds.
 */
export function openSpanSender(
  collector: TraceCollector,
  warn: (sentence: string) => void,
  lastMs = LAST_MS,
): SpanSender {
  const { post, close } = collector.protocol === 'grpc' ? byGrpc(collector) : byHttp(collector);
  const sending = new Set<Promise<void>>();
  let isLost = false;
  const attempt = async (message: ExportTraceServiceRequest): Promise<void> => {
    try {
      await post(message);
      isLost = false;
    } catch (error) {
      if (!isLost) warn(`traces do not reach ${collector.url}: ${messageOf(error)}`);
      isLost = true;
    }
  };
  return {
    send(message) {
      if (message.resourceSpans.length === 0 || sending.size >= MAX_SENDING) return;
      const sent = attempt(message);
      sending.add(sent);
      void sent.then(() => sending.delete(sent));
    },
    async [Symbol.asyncDispose]() {
      await Promise.race([Promise.all(sending), setTimeout(lastMs, undefined, { ref: false })]);
      if (sending.size > 0 && !isLost) warn(`traces do not reach ${collector.url}: no answer yet`);
      isLost = true;
      close();
    },
  };
}

interface Way {
  readonly post: (message: ExportTraceServiceRequest) => Promise<unknown>;
  readonly close: () => void;
}

function byGrpc({ url: baseUrl, headers }: TraceCollector): Way {
  const sessionManager = new Http2SessionManager(baseUrl);
  const client = createClient(TraceService, createGrpcTransport({ baseUrl, sessionManager }));
  return {
    post: (message) => client.export(message, { headers, timeoutMs: TIMEOUT_MS }),
    close: () => sessionManager.abort(),
  };
}

function byHttp({ url, headers }: TraceCollector): Way {
  const ended = new AbortController();
  return {
    async post(message) {
      const answer = await fetch(url, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/x-protobuf' },
        body: toBinary(ExportTraceServiceRequestSchema, message) as Uint8Array<ArrayBuffer>,
        signal: AbortSignal.any([ended.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      await answer.body?.cancel();
      if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    },
    close: () => ended.abort(),
  };
}
