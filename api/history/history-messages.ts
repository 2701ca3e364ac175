import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { digestOf } from '../../base/digest.ts';
import type { LoggedExtras } from '../../builder/build.ts';
import { instant } from '../control/instant.ts';
import { errorStatus } from '../grpc/grpc-status.ts';
import {
  type BuildHistoryEventSchema,
  BuildHistoryEventType,
  type BuildHistoryRecordSchema,
  type SolveRequest,
} from '../proto/control.gen.ts';
import { type Status, StatusSchema } from '../proto/rpc-status.gen.ts';
import type { BuildHistory, BuildRecord, HistoryEvent } from './build-history.ts';

/** What the log of a client's build says besides, for the history. */
export function loggedOf(request: SolveRequest): LoggedExtras {
  const { ref, frontend, frontendAttrs, exporters } = request;
  return {
    header: {
      ref,
      frontend,
      frontendAttrs,
      exporters: exporters.map(({ type, attrs }) => ({ type, attrs })),
    },
    failure: (error) => ({
      status: Buffer.from(toBinary(StatusSchema, errorStatus(error))).toString('base64'),
    }),
  };
}

export function historyMessage(
  event: HistoryEvent,
  history: BuildHistory,
): MessageInitShape<typeof BuildHistoryEventSchema> {
  if (event.kind === 'deleted')
    return { type: BuildHistoryEventType.DELETED, record: { ref: event.ref } };
  const type =
    event.kind === 'started' ? BuildHistoryEventType.STARTED : BuildHistoryEventType.COMPLETE;
  return { type, record: recordMessage(event.record, history.isPinned(event.record)) };
}

function recordMessage(
  record: BuildRecord,
  pinned: boolean,
): MessageInitShape<typeof BuildHistoryRecordSchema> {
  const { ref, header, ended, steps } = record;
  const error = errorOf(ended);
  const blob = errorBlob(record);
  const digest = ended?.['digest'];
  return {
    ref,
    frontend: textOf(header['frontend']),
    frontendAttrs: attributesOf(header),
    exporters: exportersOf(header['exporters']),
    createdAt: instant(Number(header['started'] ?? 0)),
    ...(ended && { completedAt: instant(Number(ended['ended'])) }),
    ...(error && { error: { code: error.code, message: error.message } }),
    ...(blob && {
      externalError: {
        // Spelled so by the clients.
        mediaType: 'application/vnd.googeapis.google.rpc.status+proto',
        digest: digestOf(blob),
        size: BigInt(blob.byteLength),
      },
    }),
    exporterResponse: typeof digest === 'string' ? { 'containerimage.digest': digest } : {},
    pinned,
    numTotalSteps: steps.total,
    numCompletedSteps: steps.completed,
    numCachedSteps: steps.cached,
    numWarnings: record.warnings,
  };
}

/** A build of the command line has no attributes of a frontend, but something to show instead. */
function attributesOf(header: BuildRecord['header']): Record<string, string> {
  const { frontendAttrs, context, file, target } = header;
  if (typeof frontendAttrs === 'object' && frontendAttrs !== null) return texts(frontendAttrs);
  return texts({ context, filename: file, target });
}

function texts(values: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, string] => {
      return typeof entry[1] === 'string';
    }),
  );
}

function exportersOf(list: unknown): { type: string; attrs: Record<string, string> }[] {
  if (!Array.isArray(list)) return [];
  return list.map(({ type, attrs }) => ({ type: textOf(type), attrs: texts(attrs ?? {}) }));
}

function errorOf(ended: BuildRecord['ended']): Status | undefined {
  const { error, status } = ended ?? {};
  if (typeof status === 'string') return fromBinary(StatusSchema, Buffer.from(status, 'base64'));
  if (typeof error !== 'string') return undefined;
  return create(StatusSchema, { code: Code.Unknown, message: error });
}

/** The error of a client's build with its details, a google.rpc.Status. */
export function errorBlob({ ended }: BuildRecord): Uint8Array | undefined {
  const status = ended?.['status'];
  return typeof status === 'string' ? Buffer.from(status, 'base64') : undefined;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
