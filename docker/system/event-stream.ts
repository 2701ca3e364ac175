import type { DockerHost } from '../docker-host.ts';
import type { Handler } from '../http/docker-request.ts';
import { momentOf, readFilters } from '../http/filters.ts';
import type { ImageEvent } from '../images/image-events.ts';

const FILTERS = ['type', 'event', 'image', 'label', 'scope', 'daemon', 'container', 'builder'];

/** `GET /events`: what happens to images, from `since` on and until `until`. */
export function streamEvents({ events }: DockerHost): Handler {
  return async ({ query, signal }, response) => {
    const filters = readFilters(query, FILTERS);
    const moment = (name: string) =>
      query.get(name) ? momentOf(query.get(name) ?? '') : undefined;
    const [since, until] = [moment('since'), moment('until')];
    const has = (key: string, value: string) => filters.get(key)?.includes(value) ?? true;
    const isWanted = ({ action, id, name }: ImageEvent) =>
      has('type', 'image') &&
      has('event', action) &&
      !filters.has('container') &&
      (has('image', name) || has('image', id) || has('image', name.replace(/:[^/:]*$/, '')));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const tell = (event: ImageEvent) => {
      if (isWanted(event)) response.write(`${JSON.stringify(message(event))}\n`);
    };
    if (since !== undefined)
      for (const event of events.past()) {
        if (event.at >= since && (until === undefined || event.at <= until)) tell(event);
      }
    const left = until === undefined ? undefined : until - Date.now();
    if (left === undefined || left > 0) {
      using _listening = events.listen(tell);
      await new Promise<void>((resolve) => {
        if (signal.aborted) return resolve();
        signal.addEventListener('abort', () => resolve(), { once: true });
        if (left !== undefined) setTimeout(resolve, Math.min(left, 2 ** 31 - 1)).unref();
      });
    }
    response.end();
  };
}

function message({ action, id, name, at }: ImageEvent): object {
  return {
    status: action,
    id,
    Type: 'image',
    Action: action,
    Actor: { ID: id, Attributes: { name } },
    scope: 'local',
    time: Math.floor(at / 1000),
    timeNano: at * 1e6,
  };
}
