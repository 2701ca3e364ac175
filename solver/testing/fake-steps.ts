import { type Digest, digestOf } from '../../base/digest.ts';
import type { ProgressEvent, VertexEvent } from '../../base/progress.ts';
import type { CacheRecord, CacheStore } from '../../cache/cache.ts';
import { createSolver } from '../solve.ts';
import type { Edge, InputKey, Op, RunContext, Solver, SolverOptions, Vertex } from '../solver.ts';

/**
 * Fake steps for tests of the solver's core. Results are strings, a step joins the results that it
 * reads, and all calls are counted.
 */

/** A cache in memory, whose records and links a test can look at and remove. */
export function memoryCache(): CacheStore & {
  readonly records: Map<Digest, CacheRecord>;
  readonly links: Map<Digest, Digest>;
} {
  const records = new Map<Digest, CacheRecord>();
  const links = new Map<Digest, Digest>();
  return {
    records,
    links,
    load: (key) => records.get(key),
    save: (record) => void records.set(record.key, record),
    link: (definition, key) => void links.set(definition, key),
    resolve: (definition) => links.get(definition),
    touch: () => {},
    flush: () => {},
  };
}

/** A fake step, and how often its op was called. */
export interface Fake {
  readonly vertex: Vertex<string>;
  readonly edge: Edge<string>;
  runs: number;
  maps: number;
  digests: number;
}

export interface FakeOptions {
  /**
   * How each input is read; by definition if not given. `content` is the selector: the part of the
   * input that is read.
   */
  readonly reads?: readonly ('definition' | { readonly content: string })[];
  /** What goes into the op key; the name if not given. */
  readonly key?: string;
  readonly ignoreCache?: boolean;
  readonly volatile?: boolean;
  readonly resource?: Op<string>['resource'];
  readonly run?: (
    inputs: readonly string[],
    context: RunContext,
  ) => Promise<readonly string[]> | readonly string[];
  readonly prepare?: () => void;
  /** Awaited by each `cacheMap` of the op. */
  readonly cacheMap?: (signal: AbortSignal) => Promise<void>;
  /** Awaited by each content digest of an input. */
  readonly digest?: () => Promise<void>;
}

/**
 * Makes a fake step. Its result is a text of words `selector=value`. A content selector selects the
 * word of that name; an empty selector selects the whole text.
 */
export function step(
  name: string,
  inputs: readonly (Fake | Edge<string>)[] = [],
  options: FakeOptions = {},
): Fake {
  const edges = inputs.map((input) => ('edge' in input ? input.edge : input));
  const fake: { -readonly [K in keyof Fake]: Fake[K] } = {
    runs: 0,
    maps: 0,
    digests: 0,
    vertex: undefined!,
    edge: undefined!,
  };
  const readAs = (index: number): InputKey<string> => {
    const read = options.reads?.[index] ?? 'definition';
    if (read === 'definition') return { by: 'definition' };
    return {
      by: 'content',
      selector: read.content,
      async digest(input) {
        fake.digests++;
        await options.digest?.();
        return { digest: digestOf(pick(input, read.content)) };
      },
    };
  };
  const op: Op<string> = {
    resource: options.resource ?? 'none',
    async cacheMap(signal) {
      fake.maps++;
      await options.cacheMap?.(signal);
      return {
        parts: [{ name: 'name', value: options.key ?? name }],
        inputs: edges.map((_, index) => readAs(index)),
        volatile: options.volatile ?? false,
      };
    },
    ...(options.prepare && { prepare: options.prepare }),
    async run(values, context) {
      fake.runs++;
      return options.run
        ? await options.run(values, context)
        : [`out=${name}(${values.join(',')})`];
    },
  };
  const digest = digestOf(
    [name, options.key ?? '', ...edges.map((edge) => `${edge.vertex.digest}#${edge.output}`)].join(
      '\n',
    ),
  );
  fake.vertex = { digest, name, inputs: edges, op, ignoreCache: options.ignoreCache ?? false };
  fake.edge = { vertex: fake.vertex, output: 0 };
  return fake;
}

/** The part of a result that a content selector selects. */
export function pick(text: string, selector: string): string {
  return selector === ''
    ? text
    : (text.split(' ').find((word) => word.startsWith(`${selector}=`)) ?? '');
}

export interface Rig {
  readonly cache: ReturnType<typeof memoryCache>;
  readonly solver: Solver<string>;
  readonly events: ProgressEvent[];
  solve(...fakes: Fake[]): Promise<readonly string[]>;
  /** The last event of each vertex, by name. */
  last(): Map<string, VertexEvent>;
}

/**
 * Makes a solver over `cache`. A second rig over the same cache is a second build. `gone` are
 * results that can no longer be decoded.
 */
export function rig(
  cache = memoryCache(),
  gone: ReadonlySet<string> = new Set(),
  limits = { process: 4, network: 4, cpu: 4 },
  alone?: SolverOptions<string>['alone'],
  mayRun?: SolverOptions<string>['mayRun'],
): Rig {
  const events: ProgressEvent[] = [];
  const solver = createSolver<string>({
    cache,
    codec: {
      encode: (result) => result,
      decode: (value) => (typeof value === 'string' && !gone.has(value) ? value : undefined),
    },
    progress: (event) => events.push(event),
    limits,
    ...(alone && { alone }),
    ...(mayRun && { mayRun }),
  });
  return {
    cache,
    solver,
    events,
    solve: (...fakes) =>
      solver.solve(
        fakes.map((fake) => fake.edge),
        new AbortController().signal,
      ),
    last() {
      const last = new Map<string, VertexEvent>();
      for (const event of events)
        if (event.kind === 'vertex') last.set(event.name, { ...last.get(event.name), ...event });
      return last;
    },
  };
}

/** A point at which fake steps wait until the test lets them go on. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
  /** Resolves when a step waits at the gate for the first time. */
  readonly reached: Promise<void>;
  /** Waits until the gate is open; rejects when the signal aborts. */
  pass(signal?: AbortSignal): Promise<void>;
  /** Waits like `pass` and returns `value`: the whole `run` of a fake step. */
  answer(value: readonly string[], signal?: AbortSignal): Promise<readonly string[]>;
}

export function gate(): Gate {
  const opened = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const self: Gate = {
    opened: opened.promise,
    reached: reached.promise,
    open: () => opened.resolve(),
    async pass(signal) {
      reached.resolve();
      const aborted = Promise.withResolvers<never>();
      const stop = () => aborted.reject(signal?.reason);
      signal?.throwIfAborted();
      signal?.addEventListener('abort', stop, { once: true });
      try {
        await Promise.race([opened.promise, aborted.promise]);
      } finally {
        signal?.removeEventListener('abort', stop);
      }
    },
    async answer(value, signal) {
      await self.pass(signal);
      return value;
    },
  };
  return self;
}
