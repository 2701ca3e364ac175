import { toJson } from '@bufbuild/protobuf';
import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import type { InnerClient } from '../../api/grpc/inner-client.ts';
import {
  type BuildHistoryEvent,
  BuildHistoryEventSchema,
  BuildHistoryEventType,
  Control,
  type Descriptor,
} from '../../api/proto/control.gen.ts';
import { serverStream } from '../../remote/calls.ts';
import { stdout } from '../output.ts';
import { table } from '../table.ts';
import { renderTemplate } from '../template/evaluate.ts';
import { withServer } from './open.ts';
import type { ConnectFlags } from './server-address.ts';

export interface HistoriesFlags {
  readonly format?: string;
}

export interface MonitorFlags {
  readonly completed?: boolean;
  readonly ref?: string;
}

/** `buildctl debug histories`: lists the records of builds. */
export async function printHistories(
  server: ConnectFlags,
  { format }: HistoriesFlags,
): Promise<number> {
  const events = await withServer(server, (client, signal) => recorded(client, signal));
  printEvents(events, format, { pinned: true });
  return 0;
}

/** `buildctl prune-histories`: forgets all builds that are not pinned. */
export async function pruneHistories(
  server: ConnectFlags,
  { format }: HistoriesFlags,
): Promise<number> {
  const { method } = Control;
  const gone = await withServer(server, async (client, signal) => {
    const events = await recorded(client, signal);
    const unpinned = events.filter(({ record }) => record && !record.pinned);
    for (const { record } of unpinned)
      await client.unary(
        method.updateBuildHistory,
        { ref: record?.ref ?? '', delete: true },
        signal,
      );
    return unpinned;
  });
  printEvents(gone, format, { pinned: false });
  return 0;
}

/** `buildctl debug monitor`: prints what happens to builds, until it is cancelled. */
export async function monitor(
  server: ConnectFlags,
  { completed = false, ref = '' }: MonitorFlags,
): Promise<number> {
  const asked = { activeOnly: !completed, ref };
  await withServer(server, async (client, signal) => {
    const { listenBuildHistory } = Control.method;
    for await (const event of serverStream(client, listenBuildHistory, asked, signal))
      stdout.write(monitored(event));
  });
  return 0;
}

async function recorded(client: InnerClient, signal: AbortSignal): Promise<BuildHistoryEvent[]> {
  const { listenBuildHistory } = Control.method;
  const events: BuildHistoryEvent[] = [];
  for await (const event of serverStream(client, listenBuildHistory, { earlyExit: true }, signal))
    events.push(event);
  return events;
}

const TYPES: Readonly<Record<BuildHistoryEventType, string>> = {
  [BuildHistoryEventType.STARTED]: 'STARTED',
  [BuildHistoryEventType.COMPLETE]: 'COMPLETE',
  [BuildHistoryEventType.DELETED]: 'DELETED',
};

function printEvents(
  events: readonly BuildHistoryEvent[],
  format: string | undefined,
  { pinned }: { readonly pinned: boolean },
): void {
  const template = format === 'json' ? '{{json .}}' : format;
  if (template !== undefined) {
    for (const event of events) {
      const json = toJson(BuildHistoryEventSchema, event, { useProtoFieldName: false });
      stdout.write(`${renderTemplate(template, json)}\n`);
    }
    return;
  }
  const rows = events.map(({ type, record }): string[] => [
    TYPES[type] ?? '',
    record?.ref ?? '',
    timeOf(record?.createdAt),
    timeOf(record?.completedAt),
    String(record?.generation ?? 0),
    ...(pinned ? [record?.pinned === true ? '*' : ''] : []),
  ]);
  const head = ['TYPE', 'REF', 'CREATED', 'COMPLETED', 'GENERATION', ...(pinned ? ['PINNED'] : [])];
  stdout.write(table([head, ...rows]));
}

function timeOf(time: Timestamp | undefined): string {
  return time ? new Date(timestampMs(time)).toISOString().replace(/\.\d+/, '') : '';
}

function monitored({ type, record }: BuildHistoryEvent): string {
  const results = [
    ...(record?.result ? [['', record.result] as const] : []),
    ...Object.entries(record?.results ?? {}).map(([name, one]) => [`[${name}] `, one] as const),
  ];
  const lines = [
    `event: ${TYPES[type]} ref:${record?.ref ?? ''}`,
    ...(record?.logs ? [`  logs: ${descriptor(record.logs)}`] : []),
    ...(record?.trace ? [`  trace: ${descriptor(record.trace)}`] : []),
    ...results.flatMap(([name, { resultDeprecated, attestations }]) => [
      ...(resultDeprecated ? [`  ${name}descriptor: ${descriptor(resultDeprecated)}`] : []),
      ...attestations.map((one) => `  ${name}attestation: ${descriptor(one)}`),
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

function descriptor({ mediaType, digest, size }: Descriptor): string {
  return `media_type:${JSON.stringify(mediaType)} digest:${JSON.stringify(digest)} size:${size}`;
}
