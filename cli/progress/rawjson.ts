import type { ProgressEvent, WarningEvent } from '../../base/progress.ts';
import type { Output, ProgressView } from './view.ts';

/**
 * Creates a view that prints one JSON document per line in the form of BuildKit's SolveStatus, as
 * `docker buildx build --progress=rawjson` does.
 */
export function createRawJsonView(output: Output): ProgressView {
  return {
    event(event) {
      if (event.kind === 'graph' || event.kind === 'phase' || event.kind === 'placed') return;
      output.write(`${escaped(JSON.stringify(toSolveStatus(event)))}\n`);
    },
    close: () => {},
  };
}

/**
 * Escapes C1 controls and characters that change the direction of writing. JSON.stringify does not
 * escape them, and a terminal would execute them.
 */
function escaped(json: string): string {
  return json.replace(/[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (control) => {
    return `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

const time = (ms: number) => new Date(ms).toISOString();

/** Converts an event to a SolveStatus. One that it has no field for becomes an empty one. */
export function toSolveStatus(event: ProgressEvent): unknown {
  switch (event.kind) {
    // SolveStatus has no field for a miss. 'kiln explain' prints it.
    case 'miss':
    case 'graph':
    case 'phase':
    case 'placed':
      return {};
    case 'vertex':
      return {
        vertexes: [
          {
            digest: event.vertex,
            ...(event.inputs.length > 0 && { inputs: event.inputs }),
            name: event.name,
            ...(event.started !== undefined && { started: time(event.started) }),
            ...(event.completed !== undefined && { completed: time(event.completed) }),
            ...(event.cached && { cached: true }),
            ...(event.error !== undefined && { error: event.error }),
            ...(event.usage && { usage: event.usage }),
          },
        ],
      };
    case 'status':
      return {
        statuses: [
          {
            id: event.id,
            vertex: event.vertex,
            name: event.name,
            ...(event.total > 0 && { total: event.total }),
            current: event.current,
            timestamp: time(event.timestamp),
            ...(event.started !== undefined && { started: time(event.started) }),
            ...(event.completed !== undefined && { completed: time(event.completed) }),
          },
        ],
      };
    case 'log':
      return {
        logs: [
          {
            vertex: event.vertex,
            stream: event.stream,
            data: Buffer.from(event.data).toString('base64'),
            timestamp: time(event.timestamp),
          },
        ],
      };
    case 'warning':
      return { warnings: [warningDocument(event)] };
  }
}

/** Converts a warning to BuildKit's VertexWarning. */
export function warningDocument(event: WarningEvent): object {
  return {
    ...(event.vertex && { vertex: event.vertex }),
    level: 1,
    short: Buffer.from(event.short).toString('base64'),
    detail: event.detail.map((line) => Buffer.from(line).toString('base64')),
    ...(event.url && { url: event.url }),
    // As in buildx, each warning contains the whole file, so that a reader needs no other
    // line.
    ...(event.source && {
      sourceInfo: {
        filename: event.source.name,
        data: Buffer.from(event.source.text).toString('base64'),
      },
      range: [{ start: { line: event.source.startLine }, end: { line: event.source.endLine } }],
    }),
  };
}
