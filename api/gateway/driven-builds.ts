import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect';
import type { Bridge, BuildAnswer } from '../../builder/bridge.ts';
import type { ClientCaches } from '../control/cache-options.ts';
import type { OpenBuild, OpenBuilds } from '../control/open-builds.ts';
import type { Result } from '../proto/gateway.gen.ts';
import { Containers } from './containers.ts';
import type { FailedSteps } from './failed-steps.ts';
import { KeptResults } from './kept-results.ts';
import { Refs } from './refs.ts';

/** In which the client names the build that a call belongs to. */
const BUILD_ID = 'buildkit-controlapi-buildid';

/** The way to a build, and what ends it. A client has it, or a frontend in an image. */
export interface Driver {
  /** What the calls work with. */
  bridge(): Promise<Bridge>;
  /** Nothing comes after it. `answer` is undefined when there is nothing to export. */
  finish(answer: BuildAnswer | undefined, metadata: Result['metadata']): void;
  fail(error: unknown): void;
}

/** What the calls of one build have in common. */
export interface DrivenBuild {
  readonly driver: Driver;
  readonly refs: Refs;
  /** The graphs that the caller was given (`Inputs`), each a pb.Definition. */
  readonly inputs: Readonly<Record<string, Uint8Array>>;
  /** The IDs of the sessions that lend directories, by the names of the directories. */
  readonly lenders: Map<string, string>;
  readonly containers: Containers;
  /** The results that the caller was told of in errors. */
  readonly kept: KeptResults;
  /** What failed steps have left. Undefined when it is not kept. */
  readonly failed: FailedSteps | undefined;
  /** True when the caller has named outputs. Then an empty result is an empty tree. */
  readonly hasOutputs: () => boolean;
  /** Where caches of a client's directories come from. */
  readonly caches: () => ClientCaches | undefined;
  /** What the frontend that was asked last has answered. */
  answer: BuildAnswer | undefined;
  /** True once a frontend was asked a question (`--call`), as long as nothing else was asked. */
  isQuestion: boolean | undefined;
}

/** Finds the build of a call. Throws a ConnectError when there is none. */
export type FindBuild = (context: HandlerContext) => Promise<DrivenBuild>;

/** Makes the state of a build that nobody has called yet. */
export function drivenBuild(
  driver: Driver,
  {
    inputs = {},
    lenders = new Map(),
    refs = new Refs(),
    failed,
    hasOutputs = () => false,
    caches = () => undefined,
  }: Partial<
    Pick<DrivenBuild, 'inputs' | 'lenders' | 'refs' | 'failed' | 'hasOutputs' | 'caches'>
  > = {},
): DrivenBuild {
  const kept = new KeptResults();
  const containers = new Containers(refs, kept);
  const asked = { answer: undefined, isQuestion: undefined };
  const given = { driver, refs, inputs, lenders, failed, hasOutputs, caches };
  return { ...given, containers, kept, ...asked };
}

/** Finds the builds that clients of a server have begun: a header of each call names one. */
export function clientBuilds(builds: OpenBuilds): FindBuild {
  const driven = new WeakMap<OpenBuild, DrivenBuild>();
  return async (context) => {
    const ref = context.requestHeader.get(BUILD_ID) ?? '';
    if (ref === '') throw new ConnectError('no buildid found in context', Code.InvalidArgument);
    const open = await builds.find(ref, context.signal);
    let build = driven.get(open);
    if (!build) {
      const { refs, lenders, failed, inputs } = open;
      const hasOutputs = () => open.hasOutputs;
      const caches = () => open.caches;
      const given = { refs, lenders, failed, inputs, hasOutputs, caches };
      driven.set(open, (build = drivenBuild(open.driver, given)));
    }
    return build;
  };
}
