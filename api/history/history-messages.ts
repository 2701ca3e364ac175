import { type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import type { Descriptor } from '../../base/oci.ts';
import type { LoggedExtras } from '../../builder/build.ts';
import { gitView, requestView } from '../../history/request-view.ts';
import { instant } from '../control/instant.ts';
import { exporterResponse } from '../control/outputs.ts';
import { errorStatus, isSolveDetail } from '../grpc/grpc-status.ts';
import {
  type BuildHistoryEventSchema,
  BuildHistoryEventType,
  type BuildHistoryRecordSchema,
  type DescriptorSchema,
  type SolveRequest,
} from '../proto/control.gen.ts';
import { type Status, StatusSchema } from '../proto/rpc-status.gen.ts';
import type { BuildHistory, HistoryEvent } from './build-history.ts';
import type { BuildRecord } from './build-record.ts';
import { recordedError } from './error-blob.ts';

/** What the log of a client's build says besides, for the history. */
export function loggedOf(
  { ref, frontend, frontendAttrs, exporters, internal }: SolveRequest,
  traceparent: string | undefined,
): LoggedExtras {
  return {
    keepsResult: !internal,
    header: {
      ref,
      frontend,
      frontendAttrs,
      traceparent,
      ...(internal && { internal }),
      exporters: exporters.map(({ type, attrs }) => ({ type, attrs })),
    },
    success: (response) => ({ response: exporterResponse(response) }),
    failure: (error) => ({
      status: Buffer.from(toBinary(StatusSchema, loggedStatus(error))).toString('base64'),
    }),
  };
}

/**
 * An error without the op that failed. Nobody can open a container of it after the build, and an op
 * may hold logins, which are in no log.
 */
function loggedStatus(error: unknown): Status {
  const status = errorStatus(error);
  return { ...status, details: status.details.filter(({ typeUrl }) => !isSolveDetail(typeUrl)) };
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
  const { logs, trace, error: externalError } = record.documents;
  const error = errorOf(record);
  return {
    ref,
    frontend: textOf(header['frontend']),
    frontendAttrs: attributesOf(header),
    exporters: exportersOf(header['exporters']),
    createdAt: instant(Number(header['started'] ?? 0)),
    ...(ended && { completedAt: instant(Number(ended['ended'])) }),
    ...(error && { error: { code: error.code, message: error.message } }),
    ...(externalError && { externalError: descriptorMessage(externalError) }),
    ...(logs && { logs: descriptorMessage(logs) }),
    ...(trace && { trace: descriptorMessage(trace) }),
    exporterResponse: responseOf(ended),
    ...resultsOf(record),
    generation: trace ? 1 : 0,
    pinned,
    numTotalSteps: steps.total,
    numCompletedSteps: steps.completed,
    numCachedSteps: steps.cached,
    numWarnings: record.warnings,
  };
}

/** What is known of the result: images and attestations, by platform when there are several. */
function resultsOf({
  result,
}: BuildRecord): Pick<MessageInitShape<typeof BuildHistoryRecordSchema>, 'result' | 'results'> {
  if (!result) return {};
  const { images, attestations } = result;
  const numbered = Object.entries(images).map(([output, image]) => [
    output,
    descriptorMessage(image),
  ]);
  const [first] = numbered;
  const ofPlatform = (wanted: string | undefined) =>
    attestations
      .filter(({ platform }) => platform === wanted)
      .map(({ descriptor }) => descriptorMessage(descriptor));
  const platforms = new Set(attestations.flatMap(({ platform }) => platform ?? []));
  return {
    result: {
      attestations: ofPlatform(undefined),
      results: Object.fromEntries(numbered),
      ...(first && { resultDeprecated: first[1] as DescriptorInit }),
    },
    results: Object.fromEntries(
      [...platforms].map((platform) => [platform, { attestations: ofPlatform(platform) }]),
    ),
  };
}

type DescriptorInit = MessageInitShape<typeof DescriptorSchema>;

function descriptorMessage({ mediaType, digest, size, annotations }: Descriptor): DescriptorInit {
  return { mediaType, digest, size: BigInt(size), annotations: { ...annotations } };
}

/** What the client was answered. A build of the command line has told the digest alone. */
function responseOf(ended: BuildRecord['ended']): Record<string, string> {
  const { response, digest } = ended ?? {};
  if (typeof response === 'object' && response !== null) return texts(response);
  return texts({ 'containerimage.digest': digest });
}

/** A build that no client of this API asked for has the attributes that buildx would have sent. */
function attributesOf(header: BuildRecord['header']): Record<string, string> {
  const { frontendAttrs } = header;
  if (typeof frontendAttrs === 'object' && frontendAttrs !== null) return texts(frontendAttrs);
  const request = requestView(header, [], []);
  const git = gitView(header);
  const prefixed = (prefix: string, values: Readonly<Record<string, string>>) =>
    Object.fromEntries(
      Object.entries(values).map(([name, value]) => [`${prefix}:${name}`, value] as const),
    );
  return texts({
    context: request.context,
    filename: request.dockerfile,
    target: request.target,
    platform: request.platforms.join(',') || undefined,
    'vcs:source': git?.remote,
    'vcs:revision': git?.commit,
    ...prefixed('build-arg', request.buildArgs),
    ...prefixed('label', request.labels),
    ...prefixed('context', request.namedContexts),
  });
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

/** Clients look for these words in the error of a build that was cancelled. */
const CANCELLED = 'context canceled';

function errorOf(record: BuildRecord): Status | undefined {
  const status = recordedError(record);
  if (status?.code !== Code.Canceled || status.message.includes(CANCELLED)) return status;
  return { ...status, message: `${status.message}: ${CANCELLED}` };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
