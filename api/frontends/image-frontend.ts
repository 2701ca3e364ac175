import { randomBytes } from 'node:crypto';
import type { ConnectRouter } from '@connectrpc/connect';
import type { Digest } from '../../base/digest.ts';
import { CancelledError, KilnError } from '../../base/errors.ts';
import type { Bridge } from '../../builder/bridge.ts';
import { resultOf } from '../../builder/gateway.ts';
import type {
  AskedImageFrontend,
  ImageFrontendAnswer,
  ImageFrontends,
} from '../../builder/image-frontends.ts';
import { internalStep } from '../../builder/internal-step.ts';
import { closeAll, drain, makePipe } from '../../executor/pipes.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { SCRATCH, type Snapshot } from '../../snapshotter/snapshotter.ts';
import { imageSource } from '../../solver/llb/builder.ts';
import { seal } from '../../solver/llb/draft.ts';
import { serverVersion, workersOf } from '../control/workers.ts';
import { bridgeService } from '../gateway/bridge-service.ts';
import { drivenBuild } from '../gateway/driven-builds.ts';
import { served } from '../grpc/served.ts';
import { serveStream } from '../grpc/stream-server.ts';
import { healthService } from '../health-service.ts';
import { LLBBridge } from '../proto/gateway.gen.ts';
import { Health } from '../proto/health.gen.ts';
import { FrontendDriver } from './frontend-driver.ts';
import { type FrontendFailure, returnedFailure, silentFailure } from './frontend-failure.ts';
import { asksForNetwork, checkCaps, frontendSpec } from './frontend-sandbox.ts';
import { StdioStream } from './stdio-stream.ts';
import { watchedMethods } from './watched-methods.ts';

/** A frontend may ask another one, which may ask another one, up to so many. */
const MAX_DEPTH = 16;
/** A frontend that has returned has so long to end by itself. */
const LEAVE_MS = 10_000;
/** The end of its standard error that is told when it fails, in bytes. */
const MAX_OUTPUT = 8 << 10;

/**
 * # A frontend in an image
 *
 * The root file system of its image is solved like any image of a graph. Its process runs in a
 * sandbox, and its standard input and output are one HTTP/2 connection, on which Kiln serves
 * LLBBridge. The result is what the process returns (`Return`) before it ends. `version` is that
 * of Kiln. What it sends is hostile input: the graphs are parsed and bounded as those of a client.
 */
export function imageFrontends(version: string): ImageFrontends {
  return {
    async run(bridge: Bridge, asked) {
      const { image } = asked;
      if (bridge.depth === MAX_DEPTH)
        throw new KilnError(
          'KILN_FRONTEND_FAILED',
          `the frontend ${image} is the ${MAX_DEPTH}th that was asked by another one`,
        );
      const { config, snapshot, told } = await openImage(bridge, image);
      const { progress } = bridge.context;
      const answer = await internalStep(
        progress,
        `[internal] run frontend ${image}`,
        ({ vertex }) => runFrontend(bridge, asked, { config, snapshot, version, vertex }),
      );
      return { ...answer, image: told };
    },
  };
}

/** The image that the name stands for, unpacked. */
/** The error says which image was wanted: the line of `# syntax` is all that the user wrote. */
function ofFrontend(image: string, error: unknown): unknown {
  if (!(error instanceof KilnError)) return error;
  const message = `the frontend ${image} cannot be loaded: ${error.message}`;
  return error.with({ message, cause: error });
}

async function openImage({ resolveImage, solving }: Bridge, image: string) {
  const platform = hostPlatform();
  const { name, digest, config } = await resolveImage(image, platform, { pull: false }).catch(
    (error: unknown) => Promise.reject(ofFrontend(image, error)),
  );
  const tree = imageSource(`${name}@${digest}`, { platform, note: {} });
  const result = await resultOf(seal(tree, platform), solving());
  const snapshot = result?.kind === 'snapshot' ? result.snapshot : SCRATCH;
  return { config, snapshot, told: { name, digest, platform } };
}

interface StartedFrontend {
  readonly config: Parameters<typeof checkCaps>[1];
  readonly snapshot: Snapshot;
  readonly version: string;
  /** The step that shows its output. */
  readonly vertex: Digest;
}

async function runFrontend(
  bridge: Bridge,
  asked: AskedImageFrontend,
  { config, snapshot, version, vertex }: StartedFrontend,
): Promise<ImageFrontendAnswer> {
  checkCaps(asked, config);
  const { context } = bridge;
  const { engine, session, progress } = context;
  const over = new AbortController();
  const signal = AbortSignal.any([context.signal, over.signal]);
  let patience: NodeJS.Timeout | undefined;
  const lent: Bridge = { ...bridge, context: { ...context, signal }, depth: bridge.depth + 1 };
  const driver = new FrontendDriver(lent, () => {
    patience = setTimeout(() => over.abort(), LEAVE_MS);
  });
  const workers = workersOf(engine, serverVersion(version));
  const build = drivenBuild(driver, { inputs: asked.inputs });
  await using _containers = build.containers;
  const calls = watchedMethods(
    bridgeService(
      async () => build,
      async () => workers,
    ),
  );
  const bugs: unknown[] = [];
  await using active = await engine.snapshotter.prepare(snapshot);
  const stdio = new StdioStream();
  const errors = makePipe();
  let output = Buffer.alloc(0);
  const drained = drain(errors.read, (data) => {
    output = Buffer.concat([output, data]).subarray(-MAX_OUTPUT);
    progress({ kind: 'log', vertex, stream: 2, data, timestamp: Date.now() });
  });
  let exitCode: number | undefined;
  let hasSpoken = false;
  try {
    const routes = (router: ConnectRouter) => {
      router.service(
        LLBBridge,
        served(calls.methods, (bug) => bugs.push(bug)),
      );
      router.service(Health, healthService(signal));
    };
    serveStream(stdio, routes, {
      spoken: () => {
        hasSpoken = true;
      },
      closed: () => {
        if (!driver.ending) over.abort();
      },
    });
    const spec = frontendSpec(active.root, config, asked, {
      sessionId: session.id ?? randomBytes(12).toString('hex'),
      workers,
    });
    const streams = [...stdio.descriptors, errors.write] as const;
    const io = { lent: { descriptors: streams, terminal: false }, output: () => {} };
    ({ exitCode } = await engine.executor().run(spec, io, signal));
  } catch (error) {
    if (context.signal.aborted || !(error instanceof CancelledError)) throw error;
  } finally {
    clearTimeout(patience);
    over.abort();
    stdio.release();
    stdio.destroy();
    closeAll([errors.write]);
    await drained;
    await calls.idle();
  }
  const { ending } = driver;
  const failure: FrontendFailure = {
    image: asked.image,
    refused: calls.refused,
    output: output.toString(),
    hasNetwork: asksForNetwork(config),
  };
  if (ending?.kind === 'error') throw returnedFailure(ending.error, failure);
  if (!ending && bugs.length > 0) throw bugs[0];
  if (!ending) throw silentFailure(endOf(exitCode, hasSpoken), failure);
  if (exitCode) throw silentFailure(`answered, and ended with exit code ${exitCode}`, failure);
  if (ending.answer.targets.length === 0 && !asked.options['requestid'])
    throw silentFailure('answered without a result', failure);
  return ending.answer;
}

function endOf(exitCode: number | undefined, hasSpoken: boolean): string {
  if (!hasSpoken)
    return exitCode === undefined
      ? 'does not speak gRPC over its standard input and output'
      : `ended with exit code ${exitCode} before it spoke gRPC over its standard input and output`;
  return exitCode === undefined
    ? 'closed its connection before it answered'
    : `ended with exit code ${exitCode} before it answered`;
}
