import { create } from '@bufbuild/protobuf';
import {
  type BuildHistoryRecord,
  BuildHistoryRecordSchema,
  type BuildResultInfo,
  type Descriptor as DescriptorMessage,
} from '../proto/control.gen.ts';
import type { BuildHistory } from './build-history.ts';
import type { BuildRecord } from './build-record.ts';
import { historyMessage } from './history-messages.ts';

/** The message that tells clients a record, in the JSON form of BuildKit's Go structure. */
export function recordJson(record: BuildRecord, history: BuildHistory): object {
  const { record: told } = historyMessage({ kind: 'complete', record }, history);
  const message = create(BuildHistoryRecordSchema, told as BuildHistoryRecord);
  const { logs, trace, externalError, result, error } = message;
  return withoutEmpty({
    Ref: message.ref,
    Frontend: message.frontend,
    FrontendAttrs: message.frontendAttrs,
    Exporters: message.exporters.map(({ type, attrs }) => ({ Type: type, Attrs: attrs })),
    error: error && { code: error.code, message: error.message },
    CreatedAt: time(message.createdAt),
    CompletedAt: time(message.completedAt),
    logs: logs && descriptor(logs),
    ExporterResponse: message.exporterResponse,
    Result: result && resultInfo(result),
    Results: mapped(message.results, resultInfo),
    Generation: message.generation,
    trace: trace && descriptor(trace),
    pinned: message.pinned,
    numCachedSteps: message.numCachedSteps,
    numTotalSteps: message.numTotalSteps,
    numCompletedSteps: message.numCompletedSteps,
    externalError: externalError && descriptor(externalError),
    numWarnings: message.numWarnings,
  });
}

function resultInfo({ attestations, results }: BuildResultInfo): object {
  return withoutEmpty({
    Attestations: attestations.map(descriptor),
    Results: mapped(results, descriptor),
  });
}

function descriptor({ mediaType, digest, size, annotations }: DescriptorMessage): object {
  return withoutEmpty({ media_type: mediaType, digest, size: Number(size), annotations });
}

function time(instant: { readonly seconds: bigint; readonly nanos: number } | undefined) {
  return instant && withoutEmpty({ seconds: Number(instant.seconds), nanos: instant.nanos });
}

function mapped<T>(values: Readonly<Record<string, T>>, form: (value: T) => object): object {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, form(value)]));
}

/** Go leaves empty fields out. */
function withoutEmpty(fields: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => {
      if (Array.isArray(value)) return value.length > 0;
      if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
      return value !== undefined && value !== '' && value !== 0 && value !== false;
    }),
  );
}
