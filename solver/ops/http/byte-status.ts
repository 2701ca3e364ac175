import type { SourceContext } from '../source-context.ts';
import type { OnBytes } from './receive.ts';

/** The shortest time between two progress events, in milliseconds. */
const INTERVAL = 100;

/** Reports a download as a status of its vertex. */
export function byteStatus(
  { progress, vertex }: Pick<SourceContext, 'progress' | 'vertex'>,
  name: string,
): OnBytes {
  const started = Date.now();
  const status = `downloading ${name}`;
  let reported = 0;
  let ended = false;
  return (current, total) => {
    const timestamp = Date.now();
    const over = total > 0 && current === total;
    if (ended || (timestamp - reported < INTERVAL && !over)) return;
    ended = over;
    reported = timestamp;
    const completed = over ? { completed: timestamp } : {};
    progress({
      kind: 'status',
      vertex,
      id: status,
      name: status,
      current,
      total,
      timestamp,
      started,
      ...completed,
    });
  };
}
