import { join } from 'node:path';
import { type Digest, digestOf } from '../../base/digest.ts';
import type { ProgressEvent, VertexEvent } from '../../base/progress.ts';
import type { KeyPart } from '../../cache/cache.ts';
import type { Credential } from '../../registry/credentials.ts';
import type { View } from '../../snapshotter/snapshotter.ts';
import { unmarshalOp } from '../llb/marshal.ts';
import { copySubtree } from '../ops/exec/copy-subtree.ts';
import { sourceLocalOp } from '../ops/source-local.ts';
import type { BuildResult, DirectoryResult } from '../result.ts';
import type { InputKey, MapReport, Op, RunContext } from '../solver.ts';
import { type StepSession, sessionOf, stepSession } from '../step-session.ts';
import type { Worker, WorkerVertex } from '../worker.ts';
import type { World } from '../world.ts';
import { type TunnelMethods, tunnelEnd, tunnelSocket } from './agent-tunnel.ts';
import type { TestHost } from './host.ts';
import { LayerExchange, type WireLayer } from './layer-exchange.ts';
import { type Handlers, line, type Peer, peer } from './peer.ts';

/**
 * A worker that could be on another machine. Its ops run on a second host with a second store, and
 * only bytes pass between the two hosts. A real remote worker would add a socket and
 * authentication.
 */

/**
 * A result in transit: the layers of a snapshot, or the files of a local directory packed as
 * layers.
 */
interface WireResult {
  readonly kind: BuildResult['kind'];
  readonly diffIds: readonly Digest[];
}

/** A call of an op on the far host. `op` numbers the op. */
interface WireOp {
  readonly op: number;
  /** The op in bytes, or what `Worker.squash` gets. */
  readonly what:
    | { readonly kind: 'vertex'; readonly bytes: Uint8Array; readonly ignoreCache: boolean }
    | { readonly kind: 'squash'; readonly keep: number };
  readonly vertex: Digest;
  readonly session: WireSession;
}

/** The session of the caller: what it lends is asked for by its number. */
interface WireSession {
  readonly number: number;
  /** It has `secretMark`. */
  readonly marks: boolean;
  readonly allowed: readonly string[];
  readonly devices: StepSession['devices'];
  readonly limits: StepSession['limits'];
}

/** What the far host reports while an op is called. */
type Report =
  | { readonly kind: 'progress'; readonly event: ProgressEvent }
  | { readonly kind: 'started' }
  | { readonly kind: 'usage'; readonly usage: NonNullable<VertexEvent['usage']> };

interface WireMap {
  readonly parts: readonly KeyPart[];
  readonly volatile: boolean;
  readonly inputs: readonly {
    readonly by: InputKey<BuildResult>['by'];
    readonly selector: string | undefined;
  }[];
}

interface WireContent {
  readonly digest: Digest;
  readonly parts: readonly KeyPart[] | undefined;
  readonly index: Uint8Array | undefined;
}

/** The calls that the far host serves. */
type FarMethods = {
  readonly map: { readonly ask: WireOp; readonly answer: WireMap; readonly event: Report };
  readonly content: {
    readonly ask: { readonly op: number; readonly input: number; readonly result: WireResult };
    readonly answer: WireContent;
  };
  readonly run: {
    readonly ask: WireOp & { readonly inputs: readonly WireResult[] };
    readonly answer: readonly WireResult[];
    readonly event: Report;
  };
  readonly layer: { readonly ask: Digest; readonly answer: WireLayer };
  /** The build of a session is over. */
  readonly end: { readonly ask: number; readonly answer: null };
};

/** The calls that the near host serves. */
type NearMethods = TunnelMethods & {
  readonly secret: {
    readonly ask: { readonly session: number; readonly id: string };
    readonly answer: Uint8Array | undefined;
  };
  readonly secretMark: {
    readonly ask: { readonly session: number; readonly id: string };
    readonly answer: string | undefined;
  };
  readonly login: {
    readonly ask: { readonly session: number; readonly host: string };
    readonly answer: Credential | undefined;
  };
  readonly layer: { readonly ask: Digest; readonly answer: WireLayer };
};

/** What the host that solves has for the worker. */
export type NearHost = Pick<TestHost, 'snapshotter' | 'content' | 'packer'> & {
  readonly world: Pick<World, 'snapshotter' | 'hasher' | 'copyPool'>;
};

/**
 * Makes the worker. The solver runs on the host `near`; `behind` runs the ops on the host `far`.
 */
export function loopbackWorker(
  near: NearHost,
  far: TestHost,
  behind: Worker,
): Worker & AsyncDisposable {
  const [there, back] = [line(), line()];
  const farSide = new FarSide(far, behind, (handlers) =>
    peer<FarMethods, NearMethods>(handlers, back.send),
  );
  there.connect(farSide.receive);
  const nearSide = new NearSide(near, (handlers) =>
    peer<NearMethods, FarMethods>(handlers, there.send),
  );
  back.connect(nearSide.receive);
  return {
    platforms: structuredClone(behind.platforms),
    limits: structuredClone(behind.limits),
    opOf: (vertex) => nearSide.opOf(vertex),
    squash: (keep) => nearSide.squash(keep),
    [Symbol.asyncDispose]: () => farSide[Symbol.asyncDispose](),
  };
}

type Connected<Theirs extends FarMethods | NearMethods> = Peer<Theirs> & {
  readonly receive: (bytes: Uint8Array) => void;
};

const RESOURCES = {
  source: 'network',
  exec: 'process',
  file: 'cpu',
  merge: 'none',
  diff: 'none',
  build: 'none',
} as const;

/** The host that solves. It sends vertices to the other one, and serves what the caller lends. */
class NearSide {
  readonly #host: NearHost;
  readonly #layers: LayerExchange;
  readonly #far: Connected<FarMethods>;
  readonly #sessions = new Map<number, StepSession>();
  readonly #numbers = new WeakMap<StepSession, number>();
  readonly #directories = new WeakMap<DirectoryResult, Promise<WireResult>>();
  #ops = 0;
  #count = 0;

  constructor(host: NearHost, connect: (handlers: Handlers<NearMethods>) => Connected<FarMethods>) {
    this.#host = host;
    this.#layers = new LayerExchange(host);
    this.#far = connect({
      secret: async ({ session, id }) => await this.#sessions.get(session)!.secret(id),
      secretMark: async ({ session, id }) => await this.#sessions.get(session)!.secretMark?.(id),
      login: async ({ session, host }, { signal }) =>
        await this.#sessions.get(session)!.registry.credentials?.(host, signal),
      layer: async (diffId) => await this.#layers.give(diffId),
      ...tunnelEnd((session) => this.#sessions.get(session)!),
    });
  }

  get receive() {
    return this.#far.receive;
  }

  opOf({ op, bytes, metadata }: WorkerVertex): Op<BuildResult> {
    // A local directory is on this host, so its source op runs here. Its files are sent to the far
    // host with the ops that read them.
    if (op.kind === 'source' && op.source.identifier.startsWith('local://'))
      return sourceLocalOp(op.source);
    const ignoreCache = metadata.ignoreCache === true;
    return this.#opOf({ kind: 'vertex', bytes, ignoreCache }, RESOURCES[op.kind]);
  }

  squash(keep: number): Op<BuildResult> {
    return this.#opOf({ kind: 'squash', keep }, 'cpu');
  }

  #opOf(what: WireOp['what'], resource: Op<BuildResult>['resource']): Op<BuildResult> {
    const number = ++this.#ops;
    const wire = (context: Partial<MapReport> = {}): WireOp => {
      const session = sessionOf(context);
      return {
        op: number,
        what,
        vertex: context.vertex ?? digestOf(''),
        session: {
          number: this.#numberOf(session),
          marks: session.secretMark !== undefined,
          allowed: [...session.allowed],
          devices: session.devices,
          limits: session.limits,
        },
      };
    };
    return {
      resource,
      cacheMap: async (signal, report) => {
        const onEvent = (event: Report) => {
          if (event.kind === 'progress') report?.progress(event.event);
          if (event.kind === 'started') report?.started();
        };
        const map = await this.#far.ask('map', wire(report), { signal, onEvent });
        return {
          ...map,
          inputs: map.inputs.map((input, index) => this.#inputKey(number, index, input)),
        };
      },
      run: async (inputs, context) => {
        const request = {
          ...wire(context),
          inputs: await Promise.all(inputs.map((input) => this.#send(input))),
        };
        const onEvent = (event: Report) => pass(event, context);
        const results = await this.#far.ask('run', request, { signal: context.signal, onEvent });
        return await Promise.all(results.map(async ({ diffIds }) => await this.#take(diffIds)));
      },
    };
  }

  #inputKey(
    op: number,
    input: number,
    { by, selector }: WireMap['inputs'][number],
  ): InputKey<BuildResult> {
    if (by === 'definition') return { by, ...(selector !== undefined && { selector }) };
    return {
      by,
      selector: selector ?? '',
      digest: async (result, signal) => {
        const { digest, parts, index } = await this.#far.ask(
          'content',
          { op, input, result: await this.#send(result) },
          { signal },
        );
        return {
          digest,
          ...(parts && { parts }),
          ...(index && { index: () => Buffer.from(index) }),
        };
      },
    };
  }

  async #send(result: BuildResult): Promise<WireResult> {
    if (result.kind === 'snapshot')
      return { kind: 'snapshot', diffIds: await this.#layers.offer(result.snapshot) };
    let sent = this.#directories.get(result);
    if (!sent) this.#directories.set(result, (sent = this.#sendDirectory(result)));
    return await sent;
  }

  /** Packs a directory as layers, without the files that `.dockerignore` excludes. */
  async #sendDirectory(directory: DirectoryResult): Promise<WireResult> {
    const { snapshotter, world } = this.#host;
    await using active = await snapshotter.prepare({ layers: [] });
    await copySubtree(directory, '/', active.root, {
      world,
      session: stepSession(),
      signal: new AbortController().signal,
    });
    return { kind: 'directory', diffIds: await this.#layers.offer(await active.commit()) };
  }

  async #take(diffIds: readonly Digest[]): Promise<BuildResult> {
    const snapshot = await this.#layers.take(diffIds, (diffId) => this.#far.ask('layer', diffId));
    return { kind: 'snapshot', snapshot };
  }

  #numberOf(session: StepSession): number {
    const known = this.#numbers.get(session);
    if (known !== undefined) return known;
    const number = ++this.#count;
    this.#numbers.set(session, number);
    this.#sessions.set(number, session);
    session.scope.defer(async () => {
      await this.#far.ask('end', number);
      this.#sessions.delete(number);
    });
    return number;
  }
}

function pass(event: Report, context: RunContext): void {
  if (event.kind === 'progress') context.progress(event.event);
  if (event.kind === 'usage') context.usage?.(event.usage);
}

/** The host that runs the ops. It makes them from bytes, with its own worker. */
class FarSide implements AsyncDisposable {
  readonly #host: TestHost;
  readonly #worker: Worker;
  readonly #layers: LayerExchange;
  readonly #near: Connected<NearMethods>;
  readonly #ops = new Map<number, Op<BuildResult>>();
  readonly #reads = new Map<number, readonly InputKey<BuildResult>[]>();
  readonly #sessions = new Map<number, StepSession>();
  /**
   * The local directories received, by their layers. All ops that read one get the same object, as
   * they do on one host.
   */
  readonly #directories = new Map<
    string,
    Promise<{ readonly view: View; readonly result: DirectoryResult }>
  >();

  constructor(
    host: TestHost,
    worker: Worker,
    connect: (handlers: Handlers<FarMethods>) => Connected<NearMethods>,
  ) {
    this.#host = host;
    this.#worker = worker;
    this.#layers = new LayerExchange(host);
    this.#near = connect({
      map: async (request, { signal, emit }) => {
        const map = await this.#op(request).cacheMap(signal, {
          progress: (event) => emit({ kind: 'progress', event }),
          started: () => emit({ kind: 'started' }),
          vertex: request.vertex,
          session: this.#session(request.session),
        });
        this.#reads.set(request.op, map.inputs);
        return { ...map, inputs: map.inputs.map(({ by, selector }) => ({ by, selector })) };
      },
      content: async ({ op, input, result }, { signal }) => {
        const read = this.#reads.get(op)?.[input];
        if (read?.by !== 'content') throw new TypeError(`input ${input} is not read by content`);
        const { digest, parts, index } = await read.digest(await this.#take(result), signal);
        return { digest, parts, index: index?.() };
      },
      run: async (request, { signal, emit }) => {
        const inputs = await Promise.all(request.inputs.map((input) => this.#take(input)));
        const results = await this.#op(request).run(inputs, {
          signal,
          progress: (event) => emit({ kind: 'progress', event }),
          usage: (usage) => emit({ kind: 'usage', usage }),
          vertex: request.vertex,
          session: this.#session(request.session),
        });
        return await Promise.all(results.map((result) => this.#send(result)));
      },
      layer: async (diffId) => await this.#layers.give(diffId),
      end: async (number) => {
        await this.#sessions.get(number)?.[Symbol.asyncDispose]();
        this.#sessions.delete(number);
        return null;
      },
    });
  }

  get receive() {
    return this.#near.receive;
  }

  #op({ op: number, what }: WireOp): Op<BuildResult> {
    const made = this.#ops.get(number) ?? this.#make(what);
    this.#ops.set(number, made);
    return made;
  }

  #make(what: WireOp['what']): Op<BuildResult> {
    if (what.kind === 'squash') return this.#worker.squash(what.keep);
    const { bytes, ignoreCache } = what;
    const { op, inputs } = unmarshalOp(bytes);
    if (!op) throw new TypeError('the bytes hold no op');
    return this.#worker.opOf({
      digest: digestOf(bytes),
      bytes,
      op,
      inputs,
      metadata: { ignoreCache },
    });
  }

  /** A session whose methods call the near host. */
  #session({ number: session, marks, allowed, devices, limits }: WireSession): StepSession {
    const known = this.#sessions.get(session);
    if (known) return known;
    const made = stepSession({
      secret: async (id) => await this.#near.ask('secret', { session, id }),
      sshSocket: async (id, access) => {
        const agent = await this.#near.ask('agent', { session, id });
        return agent === undefined
          ? undefined
          : await tunnelSocket(
              this.#near,
              agent,
              join(this.#host.scratch, `agent${agent}`),
              access,
            );
      },
      allowed: new Set(allowed),
      devices,
      limits,
      registry: {
        credentials: async (host) => await this.#near.ask('login', { session, host }),
      },
      ...(marks && {
        secretMark: async (id: string) => await this.#near.ask('secretMark', { session, id }),
      }),
    });
    this.#sessions.set(session, made);
    return made;
  }

  async #send(result: BuildResult): Promise<WireResult> {
    if (result.kind === 'directory')
      throw new TypeError('a directory of this host cannot be sent to another');
    return { kind: 'snapshot', diffIds: await this.#layers.offer(result.snapshot) };
  }

  async #take({ kind, diffIds }: WireResult): Promise<BuildResult> {
    const snapshot = await this.#layers.take(diffIds, (diffId) => this.#near.ask('layer', diffId));
    if (kind === 'snapshot') return { kind, snapshot };
    const name = diffIds.join(' ');
    const known = this.#directories.get(name);
    if (known) return (await known).result;
    const opened = this.#host.snapshotter
      .view(snapshot)
      .then((view) => ({ view, result: { kind, root: view.root } }));
    this.#directories.set(name, opened);
    return (await opened).result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const opened of this.#directories.values())
      await (await opened).view[Symbol.asyncDispose]();
  }
}
