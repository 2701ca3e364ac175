import { Code, ConnectError } from '@connectrpc/connect';
import type { Platform } from '../../base/platform.ts';
import type { Bridge } from '../../builder/bridge.ts';
import { resultOf } from '../../builder/gateway.ts';
import type { Container, ContainerMount } from '../../solver/container.ts';
import { enumName, NET_MODE } from '../../solver/llb/enums.ts';
import { HOST_IP } from '../../solver/llb/exec-op.ts';
import { MOUNT, type Mount } from '../../solver/llb/mount.ts';
import type { BuildResult } from '../../solver/result.ts';
import type { NewContainerRequest } from '../proto/gateway.gen.ts';
import type { KeptResults } from './kept-results.ts';
import type { Refs } from './refs.ts';

/** Bounds for one build. A client that asks for more has gone wrong. */
const MAX_CONTAINERS = 64;
const MAX_MOUNTS = 256;
const MAX_HOSTS = 256;
const MAX_NAME = 256;

/**
 * # The containers of one build
 *
 * A client opens them by IDs of its own. They live until it releases them, and no longer than the
 * build, whose scope holds them.
 */
export class Containers implements AsyncDisposable {
  readonly #open = new Map<string, Promise<Container>>();
  readonly #refs: Refs;
  readonly #kept: KeptResults;
  #isHeld = false;
  #isOver = false;

  constructor(refs: Refs, kept: KeptResults) {
    this.#refs = refs;
    this.#kept = kept;
  }

  /** Opens a container. Rejects with a ConnectError, or the errors of `OpenContainer`. */
  async open(
    request: NewContainerRequest,
    platform: Platform | undefined,
    bridge: Bridge,
  ): Promise<void> {
    const { containerId: id } = request;
    check(request);
    if (this.#isOver || bridge.context.scope.disposed)
      throw new ConnectError('the build has ended', Code.FailedPrecondition);
    if (this.#open.has(id))
      throw new ConnectError(`the container ${id} is there already`, Code.AlreadyExists);
    if (this.#open.size === MAX_CONTAINERS)
      throw new ConnectError('the build has too many containers', Code.ResourceExhausted);
    if (!this.#isHeld) bridge.context.scope.use(this);
    this.#isHeld = true;
    const opening = this.#make(request, platform, bridge);
    this.#open.set(id, opening);
    try {
      await opening;
    } catch (error) {
      this.#open.delete(id);
      throw error;
    }
  }

  /** The container of that ID. Rejects with a ConnectError when there is none. */
  async get(id: string): Promise<Container> {
    const found = this.#open.get(id);
    if (found) return await found;
    throw new ConnectError(`there is no container ${JSON.stringify(id)}`, Code.NotFound);
  }

  /**
   * Kills what runs in the container, and gives up its mounts. Rejects with a ConnectError, as
   * BuildKit does, when something ran that the client has not waited for.
   */
  async release(id: string): Promise<void> {
    const container = await this.get(id);
    this.#open.delete(id);
    const { isBusy } = container;
    await container[Symbol.asyncDispose]();
    if (isBusy) throw new ConnectError('context canceled', Code.Canceled);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const opened of await Promise.allSettled(open))
      if (opened.status === 'fulfilled') await opened.value[Symbol.asyncDispose]();
  }

  async #make(
    { mounts, network, hostname, extraHosts }: NewContainerRequest,
    platform: Platform | undefined,
    bridge: Bridge,
  ): Promise<Container> {
    const mode = enumName(NET_MODE, network);
    if (mode === undefined)
      throw new ConnectError(`there is no network mode ${network}`, Code.InvalidArgument);
    const solving = bridge.solving();
    const { worker, session, signal } = solving;
    if (!worker.openContainer)
      throw new ConnectError('the worker runs nothing but steps', Code.Unimplemented);
    const spec = {
      mounts: await Promise.all(
        mounts.map(async (bytes): Promise<ContainerMount> => {
          const { resultID, ...mount } = MOUNT.read(bytes);
          return { mount, result: await this.#resultOf(resultID, mount, bridge) };
        }),
      ),
      network: NET_MODE[mode],
      hostname,
      extraHosts: extraHosts.map((bytes) => HOST_IP.read(bytes)),
      platform,
    };
    await using scope = new AsyncDisposableStack();
    scope.use(bridge.context.engine.executor().hold());
    const container = scope.use(await worker.openContainer(spec, session, signal));
    const held = scope.move();
    return {
      get isBusy() {
        return container.isBusy;
      },
      get trees() {
        return container.trees;
      },
      start: (command, output, signal) => container.start(command, output, signal),
      [Symbol.asyncDispose]: () => held.disposeAsync(),
    };
  }

  async #resultOf(
    id: string | undefined,
    { dest }: Mount,
    bridge: Bridge,
  ): Promise<BuildResult | undefined> {
    if (id === undefined || id === '') return undefined;
    const kept = this.#kept.get(id);
    if (kept) return kept;
    const held = this.#refs.get(id);
    const result = held && (await resultOf(held.edge, bridge.solving()));
    if (!result) throw new ConnectError(`the mount ${dest} has no result`, Code.InvalidArgument);
    return result;
  }
}

function check({ containerId, mounts, extraHosts, hostname }: NewContainerRequest): void {
  if (containerId === '' || containerId.length > MAX_NAME || hostname.length > MAX_NAME)
    throw new ConnectError('a container needs a short ID', Code.InvalidArgument);
  if (mounts.length > MAX_MOUNTS || extraHosts.length > MAX_HOSTS)
    throw new ConnectError('the container has too many mounts or hosts', Code.ResourceExhausted);
}
