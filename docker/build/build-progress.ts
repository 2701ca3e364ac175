import { create, toBinary } from '@bufbuild/protobuf';
import { statusMessage } from '../../api/control/status-messages.ts';
import { StatusResponseSchema } from '../../api/proto/control.gen.ts';
import type { ProgressEvent, ProgressSink, VertexEvent } from '../../base/progress.ts';
import type { JsonStream } from '../http/answers.ts';

/** How a build is shown to a client of Docker's API. */
export interface BuildProgress {
  readonly event: ProgressSink;
  /** Called with the ID of the image when the build has succeeded. */
  readonly done: (id: string, names: readonly string[]) => void;
  /** Tells what was not told yet. Called when the build is over, well or badly. */
  readonly flush?: () => void;
}

/**
 * Progress as the old builder tells it: lines of text. Each step is named when it begins, and what
 * it writes follows. Programs look for the last lines.
 */
export function textProgress(stream: JsonStream): BuildProgress {
  const announced = new Set<string>();
  const announce = (vertex: VertexEvent) => {
    const isShown = !vertex.name.startsWith('[internal]') && vertex.started !== undefined;
    if (!isShown || announced.has(vertex.vertex)) return;
    announced.add(vertex.vertex);
    stream.write({ stream: `${vertex.name}\n` });
    if (vertex.cached) stream.write({ stream: ' ---> Using cache\n' });
  };
  return {
    event(event) {
      if (event.kind === 'vertex') announce(event);
      else if (event.kind === 'log') stream.write({ stream: Buffer.from(event.data).toString() });
      else if (event.kind === 'warning') stream.write({ stream: `[Warning] ${event.short}\n` });
    },
    done(id, names) {
      stream.write({ aux: { ID: id } });
      stream.write({ stream: `Successfully built ${id.replace('sha256:', '').slice(0, 12)}\n` });
      for (const name of names) stream.write({ stream: `Successfully tagged ${name}\n` });
    },
  };
}

/** With `q` only the ID is told. */
export function quietProgress(stream: JsonStream): BuildProgress {
  return {
    event: () => {},
    done(id) {
      stream.write({ aux: { ID: id } });
      stream.write({ stream: `${id}\n` });
    },
  };
}

/** Progress as BuildKit tells it: each document has a StatusResponse. */
export function traceProgress(stream: JsonStream): BuildProgress {
  let waiting: ProgressEvent[] = [];
  const flush = () => {
    if (waiting.length === 0) return;
    const message = create(StatusResponseSchema, statusMessage(waiting));
    waiting = [];
    const aux = Buffer.from(toBinary(StatusResponseSchema, message)).toString('base64');
    stream.write({ id: 'moby.buildkit.trace', aux });
  };
  let isDue = false;
  return {
    event(event) {
      waiting.push(event);
      if (isDue) return;
      isDue = true;
      setImmediate(() => {
        isDue = false;
        flush();
      });
    },
    flush,
    done(id) {
      flush();
      stream.write({ id: 'moby.image.id', aux: { ID: id } });
    },
  };
}
