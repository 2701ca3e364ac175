/** What is known of when a step ran. Times are milliseconds since 1970. */
export interface TimedStep {
  readonly started?: number | undefined;
  readonly ended?: number | undefined;
  /** Indexes of the steps that it needs. */
  readonly inputs: readonly number[];
}

export interface CriticalPath {
  /** Indexes of the steps that decided how long the build took, first to last. */
  readonly path: readonly number[];
  /** By how much the build would have been shorter, had the step taken no time. By index. */
  readonly saved: ReadonlyMap<number, number>;
}

/** A step that starts so long after its inputs has waited for something else. Milliseconds. */
const PROMPT = 20;

/**
 * Finds what decided how long a build took. A step follows the input that ended last. One that has
 * no inputs, or that waited for a free place, follows the step that ended last before it began.
 * `now` is when steps end that still run.
 */
export function criticalPath(steps: readonly TimedStep[], now: number): CriticalPath {
  const timed = new Map(
    steps.flatMap(({ started, ended = now, inputs }, index) =>
      started === undefined ? [] : [[index, { index, started, ended, inputs }] as const],
    ),
  );
  const byStart = [...timed.values()].sort((a, b) => a.started - b.started || a.index - b.index);
  const byEnd = [...timed.values()].sort((a, b) => a.ended - b.ended || a.index - b.index);
  const before = predecessors(byStart, byEnd, timed);
  const last = byEnd.at(-1);
  if (!last) return { path: [], saved: new Map() };
  const path: number[] = [];
  for (let at: number | undefined = last.index; at !== undefined; at = before.get(at)?.latest)
    path.unshift(at);
  const order = byStart.map(({ index }) => index);
  const whole = finish(order, timed, before, undefined);
  const long = path.filter((index) => timed.get(index)!.ended > timed.get(index)!.started);
  const saved = new Map(
    long.map((index) => [index, whole - finish(order, timed, before, index)] as const),
  );
  return { path: long, saved };
}

type Timed = ReadonlyMap<
  number,
  { index: number; started: number; ended: number; inputs: readonly number[] }
>;

interface Before {
  readonly all: readonly number[];
  /** The one that ended last. */
  readonly latest: number | undefined;
}

function predecessors(
  byStart: readonly { index: number; started: number; inputs: readonly number[] }[],
  byEnd: readonly { index: number; ended: number }[],
  timed: Timed,
): ReadonlyMap<number, Before> {
  const before = new Map<number, Before>();
  /** The steps of `byEnd` that ended before the step at hand began. */
  let over = 0;
  for (const { index, started, inputs } of byStart) {
    while (over < byEnd.length && byEnd[over]!.ended <= started) over++;
    const known = inputs.filter(
      (input) =>
        before.has(input) && (timed.get(input)?.ended ?? Number.POSITIVE_INFINITY) <= started,
    );
    const ready = latestOf(known, timed);
    const isPrompt = ready !== undefined && started - timed.get(ready)!.ended <= PROMPT;
    // A step that took no time ends when it begins, and is no predecessor of itself.
    let blocker: number | undefined;
    if (!isPrompt)
      for (let at = over - 1; at >= 0 && blocker === undefined; at--) {
        const other = byEnd[at]!.index;
        if (other !== index && before.has(other)) blocker = other;
      }
    const all = blocker === undefined ? known : [...known, blocker];
    before.set(index, { all, latest: latestOf(all, timed) });
  }
  return before;
}

function latestOf(indexes: readonly number[], timed: Timed): number | undefined {
  let latest: number | undefined;
  for (const index of indexes)
    if (latest === undefined || timed.get(index)!.ended > timed.get(latest)!.ended) latest = index;
  return latest;
}

/** When the last step would end if one of them took no time. Gaps between steps stay. */
function finish(
  order: readonly number[],
  timed: Timed,
  before: ReadonlyMap<number, Before>,
  without: number | undefined,
): number {
  const ends = new Map<number, number>();
  let last = Number.NEGATIVE_INFINITY;
  for (const index of order) {
    const { started, ended } = timed.get(index)!;
    const { all, latest } = before.get(index)!;
    let begin = started;
    if (latest !== undefined) {
      const gap = started - timed.get(latest)!.ended;
      begin = gap + Math.max(...all.map((other) => ends.get(other)!));
    }
    const end = begin + (index === without ? 0 : ended - started);
    ends.set(index, end);
    if (end > last) last = end;
  }
  return last;
}
