import {
  AckPolicy,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
} from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { KilnError, messageOf } from '../../base/errors.ts';
import { RESULTS_BUCKET, WORK_STREAM, WORKERS_BUCKET } from '../protocol.ts';
import type { NatsAddress } from './nats-address.ts';
import { natsOptions } from './nats-options.ts';

/** A connection to NATS, with what workers and builds use there. */
export interface OpenNats extends AsyncDisposable {
  readonly connection: NatsConnection;
  readonly stream: JetStreamClient;
  readonly manager: JetStreamManager;
  readonly workers: KV;
  readonly results: KV;
}

/** A server that does not take the connection within this time is not there, in milliseconds. */
const CONNECT_MS = 5_000;
/** How long after a connection broke the next is tried, in milliseconds. */
const RECONNECT_MS = 500;
const NANO = 1_000_000;
/** A job that nobody has taken for so long is dropped by NATS, in milliseconds. */
const JOB_AGE_MS = 24 * 3_600_000;
/** A job that its worker says nothing of for so long is given to another, in milliseconds. */
export const ACK_WAIT_MS = 15_000;
/** A worker that says nothing of itself for so long is gone, in milliseconds. */
export const PRESENCE_MS = 15_000;
/** How long it is known which worker made a result, in milliseconds. */
const RESULT_AGE_MS = 24 * 3_600_000;
/** A job whose workers have died so often is given to no other. */
const MAX_DELIVERIES = 5;

/**
 * Connects to NATS, and makes stream and buckets where they are missing. The connection finds its
 * way back when it breaks. Throws KILN_WORKERS_UNREACHABLE.
 */
export async function openNats(
  address: NatsAddress,
  flag: string,
  name: string,
): Promise<OpenNats> {
  let connection: NatsConnection | undefined;
  try {
    connection = await connect({
      ...natsOptions(address),
      name,
      timeout: CONNECT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_MS,
      noAsyncTraces: true,
    });
    const manager = await jetstreamManager(connection);
    await makeStream(manager);
    const kvm = new Kvm(connection);
    const held = connection;
    return {
      connection,
      manager,
      stream: jetstream(connection),
      workers: await kvm.create(WORKERS_BUCKET, { ttl: PRESENCE_MS, history: 1 }),
      results: await kvm.create(RESULTS_BUCKET, { ttl: RESULT_AGE_MS, history: 1 }),
      async [Symbol.asyncDispose]() {
        if (!held.isClosed()) await held.close();
      },
    };
  } catch (error) {
    await connection?.close();
    if (error instanceof KilnError) throw error;
    throw new KilnError(
      'KILN_WORKERS_UNREACHABLE',
      `NATS at ${address.shown} cannot be used: ${messageOf(error)}`,
      {
        place: { kind: 'flag', flag },
        hint: 'start nats-server with --jetstream, and give the credentials that it wants',
        cause: error,
      },
    );
  }
}

async function makeStream(manager: JetStreamManager): Promise<void> {
  try {
    await manager.streams.info(WORK_STREAM);
  } catch {
    await manager.streams.add({
      name: WORK_STREAM,
      subjects: ['kiln.work.>'],
      retention: RetentionPolicy.Workqueue,
      max_age: JOB_AGE_MS * NANO,
    });
  }
}

/** The durable consumer of a subject, which all workers of that subject share. Returns its name. */
export async function consumerOf(manager: JetStreamManager, subject: string): Promise<string> {
  const name = subject.replace(/^kiln\.work\./, '').replaceAll('.', '-');
  await manager.consumers.add(WORK_STREAM, {
    durable_name: name,
    filter_subject: subject,
    ack_policy: AckPolicy.Explicit,
    ack_wait: ACK_WAIT_MS * NANO,
    max_deliver: MAX_DELIVERIES,
  });
  return name;
}
