import {
  AckPolicy,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
} from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { KilnError, messageOf } from '../../base/errors.ts';
import { RESULTS_BUCKET, WORK_STREAM, WORKERS_BUCKET } from '../protocol.ts';
import { answered } from './answered.ts';
import { connectNats } from './connect-nats.ts';
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
    connection = await connectNats({
      ...natsOptions(address),
      name,
      timeout: CONNECT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_MS,
      noAsyncTraces: true,
    });
    const connected = connection;
    return await answered(() => openStore(connected));
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

/** Makes stream and buckets where they are missing. */
async function openStore(connection: NatsConnection): Promise<OpenNats> {
  const manager = await jetstreamManager(connection);
  // In a cluster, what is stored outlives each server. One of two servers refuses three copies.
  const copies = connection.info?.cluster === undefined ? [1] : [3, 1];
  await makeStream(manager, copies);
  const kvm = new Kvm(connection);
  const bucket = async (name: string, ttl: number) =>
    (await hasStream(manager, `KV_${name}`))
      ? await kvm.open(name)
      : await firstOf(copies, (replicas) => kvm.create(name, { ttl, history: 1, replicas }));
  return {
    connection,
    manager,
    stream: jetstream(connection),
    workers: await bucket(WORKERS_BUCKET, PRESENCE_MS),
    results: await bucket(RESULTS_BUCKET, RESULT_AGE_MS),
    async [Symbol.asyncDispose]() {
      if (!connection.isClosed()) await connection.close();
    },
  };
}

async function makeStream(manager: JetStreamManager, copies: readonly number[]): Promise<void> {
  if (await hasStream(manager, WORK_STREAM)) return;
  await firstOf(copies, (replicas) =>
    manager.streams.add({
      name: WORK_STREAM,
      subjects: ['kiln.work.>'],
      retention: RetentionPolicy.Workqueue,
      max_age: JOB_AGE_MS * NANO,
      num_replicas: replicas,
    }),
  );
}

/** Makes something with the first number of copies that NATS does not refuse. */
async function firstOf<T>(
  copies: readonly number[],
  make: (copies: number) => Promise<T>,
): Promise<T> {
  for (const count of copies.slice(0, -1)) {
    try {
      return await make(count);
    } catch (error) {
      if (!/replicas|peers|resources/i.test(messageOf(error))) throw error;
    }
  }
  return await make(copies.at(-1)!);
}

/** Whoever made a stream has decided how it is stored. */
async function hasStream(manager: JetStreamManager, name: string): Promise<boolean> {
  try {
    await manager.streams.info(name);
    return true;
  } catch (error) {
    if (/not found/.test(messageOf(error))) return false;
    throw error;
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
