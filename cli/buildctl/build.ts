import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { attempt, writing } from '../../base/oserror.ts';
import type { ProgressSink, WarningEvent } from '../../base/progress.ts';
import { redactData } from '../../base/redact.ts';
import type { ExportResponse } from '../../exporter/exporter.ts';
import type { BuildWords } from '../../remote/build-words.ts';
import type { Loans } from '../../remote/lend/loans.ts';
import type { OpenServer } from '../../remote/open-server.ts';
import { buildWords } from '../../remote/remote-build.ts';
import { askWords } from '../../remote/remote-call.ts';
import { withoutCache } from '../../solver/llb/uncached.ts';
import { standardOutput } from '../binary-output.ts';
import { cancelOnSignals } from '../cancel.ts';
import { parseSecrets, parseSsh } from '../flags/secrets.ts';
import { sourcePolicies } from '../flags/source-policy.ts';
import { localSecrets } from '../local-secrets.ts';
import { stderr, stdout } from '../output.ts';
import { createView } from '../progress/create-view.ts';
import { toSolveStatus } from '../progress/rawjson.ts';
import { progressMode } from '../progress-mode.ts';
import { readFifo, readUpTo } from '../read-stream.ts';
import { registryOptions } from '../registry-options.ts';
import { printError, printWarnings } from '../report.ts';
import { writeMetadataFile } from '../result-files.ts';
import { readSshSources } from '../ssh-sources.ts';
import { standardInput } from '../stdin.ts';
import { colorEnabled } from '../terminal/terminal-size.ts';
import { withServer } from './open.ts';
import { readGraph } from './read-graph.ts';
import type { ConnectFlags } from './server-address.ts';
import { cacheOf, directoriesOf, namedTexts, outputAttributes } from './typed-attributes.ts';

/** The flags of `buildctl build`. */
export interface BuildFlags {
  readonly frontend?: string;
  readonly opt?: string[];
  readonly local?: string[];
  readonly output?: string[];
  readonly secret?: string[];
  readonly ssh?: string[];
  readonly allow?: string[];
  readonly sourcePolicyFile?: string;
  readonly exportCache?: string[];
  readonly importCache?: string[];
  readonly ociLayout?: string[];
  readonly progress?: string;
  readonly metadataFile?: string;
  readonly refFile?: string;
  readonly trace?: string;
  /** Commander knows `--no-cache` as the negation of a flag that is on. */
  readonly cache?: boolean;
}

/** The option by which a frontend is asked something, in the place of a build. */
const QUESTION = 'requestid';
const SUBREQUESTS = 'moby.buildkit.frontend.subrequests';

/** `buildctl build`: builds at the server, which is lent what the flags name. */
export async function buildAt(server: ConnectFlags, flags: BuildFlags): Promise<number> {
  const { env } = process;
  const mode = progressMode(flags.progress, env);
  const view = await createView(mode, stderr, {
    activity: 'Building',
    color: colorEnabled(env),
    env,
  });
  using trace = flags.trace === undefined ? undefined : openTrace(flags.trace);
  const warnings: WarningEvent[] = [];
  const progress: ProgressSink = (event) => {
    if (event.kind === 'warning') warnings.push(event);
    trace?.write(`${JSON.stringify(toSolveStatus(event))}\n`);
    view.event(event);
  };
  const tell = async () => {
    if (mode !== 'quiet' && mode !== 'rawjson') await printWarnings(warnings);
  };
  try {
    const response = await withServer(server, async (_client, signal, open) => {
      const words = await wordsOf(flags, signal);
      const loans = loansOf(flags, words, signal, (sentence) =>
        progress({ kind: 'warning', short: sentence, detail: [] }),
      );
      return await carriedOut(open, words, loans, progress, signal);
    });
    view.close('done');
    await tell();
    await writeFiles(flags, response);
    return 0;
  } catch (error) {
    view.close('failed');
    await tell();
    if (server.debug) (await import('./debug-stacks.ts')).printStacks(error);
    return await printError(error);
  }
}

async function carriedOut(
  server: OpenServer,
  words: BuildWords,
  loans: Loans,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<ExportResponse> {
  if (words.options[QUESTION] === undefined)
    return await buildWords(server, words, loans, progress, signal);
  const options = { 'frontend.caps': SUBREQUESTS, ...words.options };
  const { metadata } = await askWords(server, { ...words, options }, loans, progress, signal);
  const text = metadata['result.txt'] ?? metadata['result.json'];
  if (text) stdout.write(Buffer.from(text).toString());
  return {};
}

async function wordsOf(flags: BuildFlags, signal: AbortSignal): Promise<BuildWords> {
  const { frontend = '' } = flags;
  const isUncached = flags.cache === false;
  const definition = frontend === '' ? await readGraph(signal) : undefined;
  const locals = directoriesOf(flags.local ?? [], '--local');
  return {
    frontend,
    options: {
      ...Object.fromEntries(namedTexts(flags.opt ?? [], '--opt')),
      ...(isUncached && frontend !== '' && { 'no-cache': '' }),
    },
    inputs: {},
    definition: definition && (isUncached ? withoutCache(definition) : definition),
    outputs: (flags.output ?? []).map((text) => outputAttributes(text, stdout.isTTY === true)),
    importCache: (flags.importCache ?? []).map((text) => cacheOf(text, '--import-cache', 'src')),
    exportCache: (flags.exportCache ?? []).map((text) => cacheOf(text, '--export-cache', 'dest')),
    entitlements: flags.allow ?? [],
    sourcePolicy: sourcePolicies(process.env, flags.sourcePolicyFile)[0],
    directories: new Map([...locals].map(([name, path]) => [name, { path }])),
    layouts: directoriesOf(flags.ociLayout ?? [], '--oci-layout'),
    uploads: new Map(),
  };
}

function loansOf(
  flags: BuildFlags,
  words: BuildWords,
  signal: AbortSignal,
  warn: (sentence: string) => void,
): Loans {
  const { env } = process;
  // A graph comes by standard input, which no secret can come by then.
  const piped = {
    context: { kind: 'directory', name: '' },
    dockerfile: { kind: 'default' },
  } as const;
  const input: Loans['input'] = (max) => readUpTo(standardInput(), max, signal);
  const file: Loans['file'] = (path, max) => readFifo(path, max, signal);
  const secrets = parseSecrets(flags.secret ?? [], env, piped, warn);
  const agents = readSshSources((flags.ssh ?? []).map(parseSsh), env);
  const [first = ''] = [...words.directories.values()].map(({ path }) => path);
  const parts = [hostname(), String(process.getuid?.()), first];
  return {
    shownContext: first,
    placeOf: (name) => words.directories.get(name)?.path ?? '',
    file,
    input,
    output: standardOutput(),
    secret: localSecrets(secrets, { env, readStdin: input, readPipe: file }),
    agent: async (id) => agents.get(id),
    registry: () => registryOptions(env),
    sharedKey: createHash('sha256').update(parts.join('\0')).digest('hex'),
  };
}

/** `--trace`: everything that is told of the build, a line of JSON for each event. */
function openTrace(path: string): Disposable & { readonly write: (text: string) => void } {
  const about = writing('the trace', path);
  const fd = attempt(about, () => openSync(path, 'a', 0o600));
  return {
    write: (text) => void attempt(about, () => writeSync(fd, text)),
    [Symbol.dispose]: () => closeSync(fd),
  };
}

async function writeFiles(flags: BuildFlags, response: ExportResponse): Promise<void> {
  const { 'buildx.build.ref': ref, ...told } = response;
  using cancel = cancelOnSignals();
  if (flags.metadataFile !== undefined) {
    const sorted = Object.fromEntries(Object.entries(told).sort(([a], [b]) => (a < b ? -1 : 1)));
    await writeMetadataFile(
      flags.metadataFile,
      JSON.stringify(redactData(sorted), null, 2),
      cancel.signal,
    );
  }
  if (flags.refFile !== undefined && typeof ref === 'string')
    await writeMetadataFile(flags.refFile, ref.replace(/^.*\//, ''), cancel.signal);
}
