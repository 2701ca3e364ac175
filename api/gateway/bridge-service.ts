import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { isDigest } from '../../base/digest.ts';
import { compileMatch } from '../../base/gomatch.ts';
import type { WarningEvent } from '../../base/progress.ts';
import type { Bridge } from '../../builder/bridge.ts';
import { solveEdge } from '../../builder/gateway.ts';
import { askFrontend } from '../../builder/opened-frontend.ts';
import { sourceMeta } from '../../builder/source-meta.ts';
import type { SolvedTree, TreeEntry } from '../../frontend/gateway.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { parseDefinition } from '../../solver/llb/parse.ts';
import { type ClientCaches, readImports } from '../control/cache-options.ts';
import { ofFrontend } from '../grpc/failed-frontend.ts';
import { ReturnedError } from '../grpc/returned-error.ts';
import type { StatSchema } from '../proto/filesync.gen.ts';
import {
  type CacheOptionsEntry,
  type LLBBridge,
  type ReadDirRequest,
  type ReadFileRequest,
  type ResolveImageConfigRequest,
  type Result,
  ResultSchema,
  type SolveRequest,
  type WarnRequest,
} from '../proto/gateway.gen.ts';
import type { WorkerRecord } from '../proto/worker.gen.ts';
import { goMode } from '../session/filesync/go-mode.ts';
import { gateFor, ofPolicies } from './call-policies.ts';
import { FRONTEND_CAPS, LLB_CAPS } from './caps.ts';
import { treeAt } from './container-files.ts';
import { lendersOf } from './context-options.ts';
import type { DrivenBuild, FindBuild } from './driven-builds.ts';
import { execProcess } from './exec-process.ts';
import { readFrontendOptions } from './frontend-options.ts';
import { refMessage, resultMessage } from './result-messages.ts';
import { returnedTargets } from './returned-result.ts';
import { finalResult, solveAnswer } from './solve-answer.ts';
import { withSolveDetails } from './solve-details.ts';
import { metaMessage, platformIn, sourceIn, wantedMeta } from './source-meta-messages.ts';
import { answerSubrequest } from './subrequests.ts';

/** A client reads short files: a message has a limit. */
const MAX_FILE = 15 << 20;

/**
 * # LLBBridge: a client, or a frontend in an image, drives a build
 *
 * `find` says to which build a call belongs. `DrivenBuild.driver` is how the call reaches the
 * build, `Bridge` what it finds there.
 */
export function bridgeService(
  find: FindBuild,
  workers: () => Promise<readonly WorkerRecord[]>,
): Partial<ServiceImpl<typeof LLBBridge>> {
  return withSolveDetails(find, {
    async ping(_request, context) {
      await find(context);
      return {
        frontendApiCaps: [...FRONTEND_CAPS],
        llbCaps: [...LLB_CAPS],
        workers: [...(await workers())],
      };
    },

    async solve(request, context) {
      const build = await find(context);
      const result = await solved(request, build);
      const answer = solveAnswer(request, result);
      if (request.final) await returned(build, finalResult(request, result));
      return answer;
    },

    async evaluate({ ref }, context) {
      const { bridge, held } = await heldBy(await find(context), ref);
      if (held) await evaluate(held.edge, bridge);
      return {};
    },

    async readFile(request, context) {
      const { bridge, held } = await heldBy(await find(context), request.ref);
      if (!held) throw noFile(request.filePath);
      await using tree = await solveEdge(held.edge, bridge.solving());
      return { data: readFrom(tree, request) };
    },

    async statFile({ ref, path }, context) {
      const { bridge, held } = await heldBy(await find(context), ref);
      if (!held) throw noFile(path);
      await using tree = await solveEdge(held.edge, bridge.solving());
      return { stat: statFrom(tree, path) };
    },

    async readDir(request, context) {
      const { bridge, held } = await heldBy(await find(context), request.ref);
      if (!held) throw noFile(request.dirPath);
      await using tree = await solveEdge(held.edge, bridge.solving());
      return { entries: listFrom(tree, request) };
    },

    async readFileContainer(request, context) {
      const { containers } = await find(context);
      const { ref, filePath } = request;
      await using found = treeAt(await containers.get(ref), filePath);
      return { data: readFrom(found.tree, { ...request, filePath: found.path }) };
    },

    async readDirContainer(request, context) {
      const { containers } = await find(context);
      const { ref, dirPath } = request;
      await using found = treeAt(await containers.get(ref), dirPath);
      return { entries: listFrom(found.tree, { ...request, dirPath: found.path }) };
    },

    async statFileContainer({ ref, path }, context) {
      const { containers } = await find(context);
      await using found = treeAt(await containers.get(ref), path);
      return { stat: statFrom(found.tree, found.path) };
    },

    async resolveSourceMeta(request, context) {
      const bridge = await (await find(context)).driver.bridge();
      if (!request.source) return {};
      const platform = platformIn(request.platform);
      const gate = gateFor(bridge, request.sourcePolicies);
      const asked = sourceIn(request.source);
      const source = gate ? await gate.source(asked, platform) : asked;
      return metaMessage(source, await sourceMeta(source, platform, wantedMeta(request), bridge));
    },

    async resolveImageConfig(request, context) {
      const bridge = await (await find(context)).driver.bridge();
      const { ref, resolveMode, sourcePolicies } = request;
      const platform = platformIn(request.platform);
      if (request.resolverType === OF_LAYOUT) {
        const source = layoutSource(request);
        const gate = gateFor(bridge, sourcePolicies);
        const used = gate ? await gate.source(source, platform) : source;
        const { image } = await sourceMeta(used, platform, {}, bridge);
        return image ? { digest: image.digest, config: image.config!, ref } : { ref };
      }
      const gate = sourcePolicies.length > 0 ? gateFor(bridge, sourcePolicies) : undefined;
      const resolve = gate ? gate.images(bridge.resolveImage) : bridge.resolveImage;
      const name = ref.replace(/^docker-image:\/\//, '');
      const pull = resolveMode === 'pull';
      const found = await resolve(name, platform ?? hostPlatform(), { pull });
      return {
        digest: found.digest,
        config: Buffer.from(JSON.stringify(found.config)),
        ref: found.name,
      };
    },

    async warn(request, context) {
      const bridge = await (await find(context)).driver.bridge();
      bridge.context.progress({
        kind: 'warning',
        ...(isDigest(request.digest) && { vertex: request.digest }),
        ...(request.level !== 1n && { level: Number(request.level) }),
        short: text(request.short),
        detail: request.detail.map(text),
        ...(request.url !== '' && { url: request.url }),
        ...sourceOf(request),
      });
      return {};
    },

    async inputs(_request, context) {
      return { definitions: { ...(await find(context)).inputs } };
    },

    async newContainer(request, context) {
      const { driver, containers } = await find(context);
      await containers.open(request, platformIn(request.platform), await driver.bridge());
      return {};
    },

    async releaseContainer({ containerId }, context) {
      await (await find(context)).containers.release(containerId);
      return {};
    },

    async *execProcess(requests, context) {
      const { containers } = await find(context);
      yield* execProcess(requests, containers, context.signal);
    },

    async return({ result, error }, context) {
      const build = await find(context);
      const { driver } = build;
      // What runs in containers is of no use to an export.
      await build.containers[Symbol.asyncDispose]();
      if (error) driver.fail(new ReturnedError(error));
      else
        try {
          await returned(build, result);
        } catch (refused) {
          // Nothing else ends the build: the call that began it is told why.
          driver.fail(refused);
        }
      return {};
    },
  });
}

/** The type of the resolver for an image in a layout. The others are in registries. */
const OF_LAYOUT = 1;

/** An image in a layout as a graph names it. */
function layoutSource({ ref, sessionId, storeId }: ResolveImageConfigRequest) {
  const identifier = ref.startsWith('oci-layout://') ? ref : `oci-layout://${ref}`;
  return { identifier, attrs: { 'oci.session': sessionId, 'oci.store': storeId } };
}

/** What a graph or a frontend comes to. */
async function solved(request: SolveRequest, build: DrivenBuild): Promise<Result> {
  const bridge = await build.driver.bridge();
  const question = request.frontendOpt['requestid'];
  build.isQuestion = Boolean(question) && build.isQuestion !== false;
  if (request.cacheImports.length > 0) await importCaches(request.cacheImports, build, bridge);
  if (request.frontend === '') {
    const given = parseDefinition(request.definition);
    const edge = await ofPolicies(given, request.sourcePolicies, bridge);
    if (edge && request.evaluate) await evaluate(edge, bridge);
    const value = refMessage(edge, build.refs);
    return create(ResultSchema, { result: { case: 'ref', value } });
  }
  const { frontend, frontendOpt: options, frontendInputs: inputs } = request;
  for (const [name, id] of lendersOf(options)) build.lenders.set(name, id);
  const asked = readFrontendOptions({ frontend, options, inputs }, bridge.context.request);
  if (question) {
    const metadata = { ...(await answerSubrequest(question, bridge, asked)) };
    return create(ResultSchema, { metadata });
  }
  const source = options['source'] ?? '';
  const answer = await ofFrontend(frontend, source, () => askFrontend(bridge, asked));
  const targets = await Promise.all(
    answer.targets.map(async (target) => ({
      ...target,
      edge: await ofPolicies(target.edge, request.sourcePolicies, bridge),
    })),
  );
  build.answer = { ...answer, targets };
  if (request.evaluate) for (const { edge } of targets) if (edge) await evaluate(edge, bridge);
  return resultMessage(build.answer, build.refs);
}

/** Hands a result to the build that waits for it. */
async function returned(build: DrivenBuild, result: Result | undefined): Promise<void> {
  const { driver, refs, answer } = build;
  const metadata = result?.metadata ?? {};
  // An answer to a question is no image: a client that gives its outputs along wants none.
  if (build.isQuestion) return driver.finish(undefined, metadata);
  const targets = result ? returnedTargets(result, refs, build.hasOutputs()) : [];
  if (targets.length === 0 && Object.keys(metadata).length === 0)
    return driver.finish(undefined, {});
  const { context } = await driver.bridge();
  const { request = context.request, dockerfile, frontend } = answer ?? {};
  const isMap = result?.result.case === 'refs' || result?.result.case === 'refsDeprecated';
  driver.finish({ request, targets, dockerfile, frontend, metadata, isMap }, metadata);
}

/** Has the caches of one call be read, for it and for all that is solved after it. */
async function importCaches(
  entries: readonly CacheOptionsEntry[],
  { caches }: DrivenBuild,
  bridge: Bridge,
): Promise<void> {
  const { progress } = bridge.context;
  const warn = (short: string) => progress({ kind: 'warning', short, detail: [] });
  await bridge.importCaches(await readImports(entries, caches() ?? NO_DIRECTORIES, warn));
}

/** For a caller that has no directories: a frontend in an image. */
const NO_DIRECTORIES: ClientCaches = {
  bring: async () => Promise.reject(noDirectory()),
  take() {
    throw noDirectory();
  },
};

function noDirectory(): ConnectError {
  return new ConnectError('caches in directories belong to clients', Code.InvalidArgument);
}

async function heldBy({ driver, refs }: DrivenBuild, id: string) {
  const held = refs.get(id);
  return { bridge: await driver.bridge(), held };
}

async function evaluate(edge: Parameters<typeof solveEdge>[0], bridge: Bridge): Promise<void> {
  await using _solved = await solveEdge(edge, bridge.solving());
}

function readFrom(tree: SolvedTree, { filePath, range }: ReadFileRequest): Uint8Array {
  if (range) {
    const { offset, length } = range;
    if (offset < 0n || length < 0n)
      throw new ConnectError('a range of a file begins at 0 or later', Code.InvalidArgument);
    const size = tree.stat(filePath)?.size ?? 0;
    const wanted = Math.min(Number(length), Math.max(0, size - Number(offset)));
    if (wanted > MAX_FILE)
      throw new ConnectError(`${wanted} bytes are too many for an answer`, Code.ResourceExhausted);
    const part = tree.readPart(filePath, Number(offset), wanted);
    if (!part) throw noFile(filePath);
    return part;
  }
  const found = tree.find(filePath, MAX_FILE);
  if (found.kind === 'large')
    throw new ConnectError(`${filePath} has more than ${MAX_FILE} bytes`, Code.ResourceExhausted);
  if (found.kind === 'other')
    throw new ConnectError(`read ${filePath}: is ${found.what}`, Code.Unknown);
  if (found.kind !== 'file') throw noFile(filePath);
  return found.bytes;
}

function statFrom(tree: SolvedTree, path: string): MessageInitShape<typeof StatSchema> {
  const entry = tree.stat(path);
  if (!entry) throw noFile(path);
  return statMessage(entry);
}

function listFrom(tree: SolvedTree, { dirPath, includePattern }: ReadDirRequest) {
  const entries = tree.list(dirPath);
  if (!entries) throw noFile(dirPath);
  const wanted = includePattern === '' ? () => true : compileMatch(includePattern);
  return entries.filter(({ name }) => wanted(name)).map(statMessage);
}

function statMessage(entry: TreeEntry): MessageInitShape<typeof StatSchema> {
  const { name, mode, uid, gid, size, modTime, linkname } = entry;
  return { path: name, mode: goMode(mode), uid, gid, size: BigInt(size), modTime, linkname };
}

function noFile(path: string): ConnectError {
  return new ConnectError(`open ${path}: no such file or directory`, Code.NotFound);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

function sourceOf({ info, ranges }: WarnRequest): Partial<Pick<WarningEvent, 'source'>> {
  const [range] = ranges;
  if (!info || !range?.start) return {};
  const startLine = range.start.line;
  const endLine = range.end?.line ?? startLine;
  return { source: { name: info.filename, text: text(info.data), startLine, endLine } };
}
