import { KilnError } from '../base/errors.ts';
import { redactData, redactedData } from '../base/redact.ts';
import { registryOf } from '../builder/build-context.ts';
import { loadContext } from '../builder/context/context.ts';
import { contextHost } from '../builder/context/context-host.ts';
import { prepareRequest } from '../builder/frontend-request.ts';
import { convertDockerfile } from '../frontend/convert/convert.ts';
import { parseDockerfile } from '../frontend/parse.ts';
import { imageSources } from '../registry/pull.ts';
import { definitionJson, marshalDefinition, toDefinition } from '../solver/llb/definition.ts';
import { imageResolver } from '../solver/ops/source-image.ts';
import { openLocalEngine } from './engine.ts';
import { parseBuildFlags } from './flags/build-flags.ts';
import { localSession } from './local-session.ts';

/** The flags of `kiln debug dump-llb`. */
export interface DumpFlags {
  readonly file?: string | undefined;
  readonly target?: string | undefined;
  readonly buildArg?: readonly string[] | undefined;
  readonly platform?: string | undefined;
  readonly format: 'json' | 'binary';
}

/**
 * Returns the LLB graph of the Dockerfile for one platform. `path` is the context directory. The
 * format `json` is text for people, without the logins in URLs. `binary` is the unchanged bytes of
 * a pb.Definition. Looks up base images but builds nothing. Throws what the frontend throws, and
 * KILN_CONTEXT_UNSUPPORTED for a context at a URL.
 */
export async function dumpLlb(path: string, flags: DumpFlags): Promise<Uint8Array> {
  const argv = [
    path,
    ...pair('--file', flags.file),
    ...pair('--target', flags.target),
    ...pair('--platform', flags.platform),
    ...(flags.buildArg ?? []).flatMap((arg) => pair('--build-arg', arg)),
  ];
  const { options } = parseBuildFlags(argv, {
    env: process.env,
    stdoutIsTerminal: false,
  })!;
  await using engine = openLocalEngine();
  await using scope = new AsyncDisposableStack();
  const { signal } = new AbortController();
  const { request } = options;
  // The directories of the graph are those of whoever has it built.
  const session = { ...localSession(options, engine, signal), id: '' };
  const build = { request, engine, session, progress: ignoreProgress, signal, scope };
  const context = await loadContext(request, { ...contextHost(build), fetch: refuseRemote });
  const sources = scope.use(
    imageSources({
      content: engine.content,
      images: engine.images,
      registry: await registryOf({ engine, session }),
    }),
  );
  const { inputs } = await prepareRequest(request, session, context, ignoreProgress);
  const conversion = { ...inputs, resolveImage: imageResolver(sources, signal), signal };
  const { targets } = await convertDockerfile(conversion, parseDockerfile(context.dockerfile));
  const edge = targets[0]?.edge;
  if (flags.format === 'binary') return marshalDefinition(toDefinition(edge));
  return Buffer.from(`${JSON.stringify(redactData(definitionJson(edge)), redactedData, 2)}\n`);
}

/** Warnings about the context appear in a build, not here. */
function ignoreProgress(): void {}

/** A build fetches a remote context by solving a graph, and nothing is solved here. */
async function refuseRemote(): Promise<never> {
  throw new KilnError(
    'KILN_CONTEXT_UNSUPPORTED',
    'the graph of a context at a URL cannot be printed without fetching it',
    {
      hint: 'fetch the context first and give its directory',
      exitCode: 2,
    },
  );
}

function pair(flag: string, value: string | undefined): string[] {
  return value === undefined ? [] : [flag, value];
}
