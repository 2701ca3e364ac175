import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import type { ProgressEvent, StatusEvent, VertexEvent, WarningEvent } from '../../base/progress.ts';
import {
  type StatusResponse,
  StatusResponseSchema,
  type VertexLogSchema,
  type VertexSchema,
  type VertexStatusSchema,
  type VertexWarningSchema,
} from '../proto/control.gen.ts';
import { instant } from './instant.ts';

/** The name of a transfer is what is done. As in BuildKit, the id alone says with what. */
function actionOf({ id, name }: StatusEvent): string {
  return id.startsWith('transferring ') ? 'transferring' : name;
}

/** The events as clients of BuildKit are told them. Reasons of misses have no message there. */
export function statusMessage(events: readonly ProgressEvent[]): StatusResponse {
  const vertexes: MessageInitShape<typeof VertexSchema>[] = [];
  const statuses: MessageInitShape<typeof VertexStatusSchema>[] = [];
  const logs: MessageInitShape<typeof VertexLogSchema>[] = [];
  const warnings: MessageInitShape<typeof VertexWarningSchema>[] = [];
  for (const event of events) {
    switch (event.kind) {
      case 'vertex':
        vertexes.push(vertexMessage(event));
        break;
      case 'status':
        statuses.push({
          id: event.id,
          vertex: event.vertex,
          name: actionOf(event),
          current: BigInt(Math.floor(event.current)),
          total: BigInt(Math.floor(event.total)),
          timestamp: instant(event.timestamp),
          ...times(event),
        });
        break;
      case 'log':
        logs.push({
          vertex: event.vertex,
          stream: BigInt(event.stream),
          msg: event.data,
          timestamp: instant(event.timestamp),
        });
        break;
      case 'warning':
        warnings.push(warningMessage(event));
        break;
    }
  }
  return create(StatusResponseSchema, { vertexes, statuses, logs, warnings });
}

/** A client takes a vertex with these words for one that ended because the build did. */
const CANCELLED = 'context canceled';

function vertexMessage(event: VertexEvent): MessageInitShape<typeof VertexSchema> {
  return {
    digest: event.vertex,
    inputs: [...event.inputs],
    name: event.name,
    cached: event.cached ?? false,
    error: event.cancelled ? CANCELLED : (event.error ?? ''),
    ...times(event),
  };
}

function warningMessage(event: WarningEvent): MessageInitShape<typeof VertexWarningSchema> {
  const { source } = event;
  return {
    vertex: event.vertex ?? '',
    level: BigInt(event.level ?? 1),
    short: Buffer.from(event.short),
    detail: event.detail.map((line) => Buffer.from(line)),
    url: event.url ?? '',
    ...(source && {
      info: { filename: source.name, data: Buffer.from(source.text), language: 'Dockerfile' },
      ranges: [{ start: { line: source.startLine }, end: { line: source.endLine } }],
    }),
  };
}

function times(event: {
  readonly started?: number | undefined;
  readonly completed?: number | undefined;
}): { started?: Timestamp; completed?: Timestamp } {
  return {
    ...(event.started !== undefined && { started: instant(event.started) }),
    ...(event.completed !== undefined && { completed: instant(event.completed) }),
  };
}
