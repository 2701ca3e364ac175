import type { SourceContext } from './source-context.ts';

/** The shortest time between two progress events, in milliseconds. */
const INTERVAL = 100;

/**
 * Reports work on bytes as a status of its vertex. Returns what is told of the bytes that are done,
 * and of how many there are: `total`, unless it says another number. The status ends when all are.
 */
export function byteStatus(
  { progress, vertex }: Pick<SourceContext, 'progress' | 'vertex'>,
  name: string,
  total = 0,
): (current: number, total?: number) => void {
  const started = Date.now();
  let reported = 0;
  let ended = false;
  return (current, of = total) => {
    const timestamp = Date.now();
    const over = of > 0 && current >= of;
    if (ended || (timestamp - reported < INTERVAL && !over)) return;
    ended = over;
    reported = timestamp;
    const completed = over ? { completed: timestamp } : {};
    const id = name;
    progress({
      kind: 'status',
      vertex,
      id,
      name,
      current,
      total: of,
      timestamp,
      started,
      ...completed,
    });
  };
}
