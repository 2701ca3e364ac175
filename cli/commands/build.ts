import { join } from 'node:path';
import { CancelledError, KilnError } from '../../base/errors.ts';
import type { ProgressEvent, ProgressSink, WarningEvent } from '../../base/progress.ts';
import { redactData, redactUrl } from '../../base/redact.ts';
import { build } from '../../builder/build.ts';
import type { CallSpec } from '../../builder/call-spec.ts';
import type { OtherWorkers } from '../../builder/other-workers.ts';
import type { Session } from '../../builder/session.ts';
import { tryDirectory } from '../../exporter/destination.ts';
import type { ExportResponse } from '../../exporter/exporter.ts';
import type { LlbEdge } from '../../solver/llb/graph.ts';
import type { Command } from '../arguments.ts';
import type { BuildOptions } from '../build-options.ts';
import { BuildSummary } from '../build-summary.ts';
import type { Builds } from '../builds.ts';
import { cancelOnSignals } from '../cancel.ts';
import { configPath } from '../config-path.ts';
import { dockerProxies } from '../docker-proxies.ts';
import { openLocalEngine } from '../engine.ts';
import type { OnFailure } from '../failure/on-failure.ts';
import { declareWithRare } from '../flags/build-command.ts';
import { parseBuildFlags } from '../flags/build-flags.ts';
import { localSession } from '../local-session.ts';
import { bundleId } from '../memo/bundle-id.ts';
import { isMemorable } from '../memo/memorable.ts';
import { BuildWatch } from '../memo/watch.ts';
import { closedOutputError, isClosed, stderr, stdout } from '../output.ts';
import { createView } from '../progress/create-view.ts';
import {
  type LendingView,
  lendingView,
  type ProgressView,
  type ViewOptions,
} from '../progress/view.ts';
import { dockerConfigPath } from '../registry-options.ts';
import { printError, printWarnings } from '../report.ts';
import { wantedReports } from '../reports/wanted-reports.ts';
import { ownStoreRoot } from '../store-root.ts';
import { colorEnabled } from '../terminal/terminal-size.ts';
import { wantedGitInfo } from '../wanted-git-info.ts';
import { configuredWorkers } from '../workers-config.ts';

export function declareCommand(): Command {
  return declareWithRare();
}

/** `kiln build` */
export async function run(argv: readonly string[]): Promise<number> {
  const parsed = parseBuildFlags(argv, {
    env: process.env,
    stdoutIsTerminal: stdout.isTTY === true,
    proxies: (given, warn) =>
      dockerProxies(dockerConfigPath(process.env), process.env, given, warn),
  });
  if (!parsed) return 0;
  const gitWarnings: string[] = [];
  const options = await withGit(parsed.options, (sentence) => gitWarnings.push(sentence));
  const flagWarnings = warnAboutFlags([...parsed.warnings, ...gitWarnings], options.progress);
  if (options.call) return await runCall(options, options.call, flagWarnings);
  if (options.iidFile !== undefined || options.metadataFile !== undefined)
    (await import('../result-files.ts')).checkResultFiles(options);
  checkOutputs(options);
  const watch = flagWarnings.length === 0 ? watchFor(options) : undefined;
  const summary = new BuildSummary();
  const code = await runBuild(argv, options, flagWarnings, summary, watch);
  // The store is left by now.
  if (code === 0 && watch?.id !== undefined) await keepFor(watch);
  await tellOthers(options, summary.logId);
  return code;
}

/** Adds the variables by which the programs of steps find their place in the trace of the build. */
async function tracing(session: Session): Promise<Session> {
  if (!process.env['KILN_TRACE_STEPS']) return session;
  const { stepVariables } = await import('../reports/step-variables.ts');
  return { ...session, stepVariables: stepVariables(process.env) };
}

/** Tells whom the environment names of the build that has ended. Its record has the ID `id`. */
async function tellOthers({ progress }: BuildOptions, id: string | undefined): Promise<void> {
  const wanted = wantedReports(process.env);
  if (!wanted || id === undefined) return;
  const { reportBuild } = await import('../reports/report-build.ts');
  const isQuiet = ['quiet', 'rawjson', 'none'].includes(progress);
  await reportBuild(wanted, join(ownStoreRoot(), 'logs'), id, process.env, isQuiet);
}

/** Notes what a build relies on, if a memo of it may be kept (decision 062). */
function watchFor(options: BuildOptions): BuildWatch | undefined {
  if (bundleId() === undefined || process.env['KILN_MEMO'] === 'off') return undefined;
  if (!process.argv.slice(2, 4).includes('build')) return undefined;
  const isShownPlain = options.progress === 'quiet' || !stderr.isTTY;
  if (!isShownPlain || !isMemorable(options, process.argv.slice(2), process.env)) return undefined;
  return new BuildWatch(ownStoreRoot(), options);
}

async function keepFor(watch: BuildWatch): Promise<void> {
  try {
    const { keepMemo } = await import('../memo/keep.ts');
    const { env } = process;
    await keepMemo(watch, {
      argv: process.argv.slice(2),
      env,
      cwd: process.cwd(),
      uid: process.getuid?.() ?? -1,
      bundle: bundleId() ?? '',
      config: configPath(env),
    });
  } catch {
    // The build has succeeded. What it read may be gone by now, and the disk may be full.
  }
}

async function runBuild(
  argv: readonly string[],
  options: BuildOptions,
  flagWarnings: readonly WarningEvent[],
  summary: BuildSummary,
  watch: BuildWatch | undefined,
): Promise<number> {
  await using builds = await openBuilds(options, summary, watch);
  using cancel = cancelOnSignals();
  const view = lendingView(await createView(options.progress, stderr, viewOptions()));
  const failure = await openFailure(options, view);
  const warnings: WarningEvent[] = [];
  const events: ProgressEvent[] = [];
  const progress: ProgressSink = (event) => {
    if (event.kind === 'warning') warnings.push(event);
    if (options.explain) events.push(event);
    summary.event(event);
    view.event(event);
    if (event.kind === 'warning' && event.isUrgent) printUrgent(event, view, options);
  };
  for (const event of flagWarnings) progress(event);
  try {
    const response = await builds.build(progress, cancel.signal, failure);
    await writeResultFiles(options, response, warnings, cancel.signal);
    view.close('done');
    await printResult(options, response, warnings, summary, watch);
    if (options.explain) await explain(events);
    return 0;
  } catch (error) {
    const code = await printFailure(error, view, options, warnings);
    if (options.explain) await explain(events);
    await printNextSteps(argv, error, options, failure, summary.logId);
    return code;
  }
}

/** Adds what the git repository of the context says, where somebody asks for it. */
async function withGit(
  options: BuildOptions,
  warn: (sentence: string) => void,
): Promise<BuildOptions> {
  const wanted = options.call ? undefined : wantedGitInfo(options.request, process.env);
  if (!wanted) return options;
  const { withGitInfo } = await import('../git-info.ts');
  return { ...options, request: withGitInfo(options, wanted, process.env, warn) };
}

/** Opens the builder elsewhere that the options name, or else the store of this host. */
async function openBuilds(
  options: BuildOptions,
  summary?: BuildSummary,
  watch?: BuildWatch,
): Promise<Builds> {
  const { builder } = options;
  if (builder)
    return await (await import('../builds-elsewhere.ts')).buildsElsewhere(options, builder);
  const otherWorkers = await workersOf(options);
  const more = { endsProcess: true, onAnswer: watch?.onAnswer, otherWorkers };
  const engine = openLocalEngine(more, options.tlsVerify);
  if (otherWorkers) engine.scope.use(otherWorkers);
  watch?.opened(() => engine.store.db.version());
  const { request } = options;
  return {
    async build(progress, signal, failure) {
      const session = await tracing(localSession(options, engine, signal, failure, watch?.onLook));
      const leftover = resultFiles(options);
      const extras = {
        door: 'cli' as const,
        leftover,
        told: options.metadataFile === undefined ? undefined : options.metadata.provenance,
        begun: summary?.begun,
        assembled: summary?.assembled,
        onSolved: watch && ((graphs: readonly LlbEdge[]) => void (watch.graphs = graphs)),
      };
      const { id, response } = await build(engine, request, session, progress, signal, extras);
      if (watch) watch.id = id;
      return response;
    },
    async call(call, progress, signal) {
      const { answerCall } = await import('../../builder/call.ts');
      const session = localSession(options, engine, signal);
      return await answerCall(call, { request, engine, session, progress, signal });
    },
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
}

/** Opens the other machines that the options name. */
async function workersOf(options: BuildOptions): Promise<OtherWorkers | undefined> {
  const { workers, workerLabel, workerCacheMounts, builder } = options;
  const isOpen = workers.length === 0 && builder === undefined;
  const configured = isOpen ? await configuredWorkers(configPath(process.env)) : undefined;
  const addresses = configured?.addresses ?? workers;
  if (addresses.length === 0) return undefined;
  const { openWorkers } = await import('../../workers/open-workers.ts');
  const warn = (sentence: string) => void stderr.write(`WARNING: ${sentence}\n`);
  return openWorkers({
    addresses,
    flag: '--workers',
    env: process.env,
    label: workerLabel ?? configured?.label,
    sharesCaches: workerCacheMounts ?? configured?.cacheMounts ?? false,
    warn,
  });
}

/**
 * Throws when standard output is closed or the files of a failed step could not be written. The
 * build checks all other outputs itself. These two belong to the command line.
 */
function checkOutputs({ request, outputOnError }: BuildOptions): void {
  const toStdout = request.outputs.some(
    (output) => 'destination' in output && output.destination?.kind === 'lent',
  );
  if (toStdout && isClosed(1)) throw closedOutputError();
  if (outputOnError) tryDirectory({ path: outputOnError.directory, flag: '--output-on-error' });
}

/** Returns the names of the result files, for the message about an output that failed. */
function resultFiles({ iidFile, metadataFile }: BuildOptions): string[] {
  return [
    ...(iidFile === undefined ? [] : [`the image ID file ${iidFile}`]),
    ...(metadataFile === undefined ? [] : [`the metadata file ${metadataFile}`]),
  ];
}

/**
 * Prints a warning at once, in every view but rawjson, which shows the event itself. An urgent
 * warning is about steps that are still to run.
 */
function printUrgent({ short }: WarningEvent, view: LendingView, { progress }: BuildOptions): void {
  if (progress === 'rawjson') return;
  using _ = view.lend();
  stderr.write(`WARNING: ${short}\n`);
}

function viewOptions(): ViewOptions {
  return { activity: 'Building', color: colorEnabled(process.env), env: process.env };
}

/**
 * Prints warnings about flags that have no effect. For rawjson, whose reader is a program, it
 * returns them as events instead.
 */
function warnAboutFlags(
  sentences: readonly string[],
  mode: BuildOptions['progress'],
): readonly WarningEvent[] {
  if (mode === 'rawjson') return sentences.map((short) => ({ kind: 'warning', short, detail: [] }));
  for (const sentence of sentences) stderr.write(`WARNING: ${sentence}\n`);
  return [];
}

async function openFailure(
  options: BuildOptions,
  { lend }: LendingView,
): Promise<OnFailure | undefined> {
  if (options.onError === undefined && options.outputOnError === undefined) return undefined;
  if (options.builder) return undefined;
  const { onFailure } = await import('../failure/on-failure.ts');
  const interactive = process.stdin.isTTY === true && stdout.isTTY === true;
  return onFailure(options, { interactive, lend });
}

/**
 * Prints after the error which files of the failed step were kept, how to see all of its output,
 * and how to inspect the step.
 */
async function printNextSteps(
  argv: readonly string[],
  error: unknown,
  options: BuildOptions,
  failure: OnFailure | undefined,
  logId: string | undefined,
): Promise<void> {
  if (options.progress === 'quiet' || options.progress === 'rawjson' || options.progress === 'none')
    return;
  for (const note of failure?.notes ?? []) stderr.write(`${redactUrl(note)}\n`);
  if (!(error instanceof KilnError) || options.builder) return;
  const { reproduction, STEP_CODES } = await import('../reproduce.ts');
  if (STEP_CODES.includes(error.code) && error.notes.length > 0 && logId !== undefined)
    stderr.write(`\nTo see all that the failed step wrote:\n  kiln logs ${logId}\n`);
  const command = reproduction(argv, error);
  if (command !== undefined) stderr.write(`\nTo open a shell in the failed step:\n  ${command}\n`);
}

async function explain(events: readonly ProgressEvent[]): Promise<void> {
  const { renderExplanation } = await import('../explanation.ts');
  stderr.write(`\n${renderExplanation(events)}`);
}

/**
 * Runs `--call`. Prints its result to standard output, progress and errors to standard error. Needs
 * no root privileges and writes no log.
 */
async function runCall(
  options: BuildOptions,
  call: CallSpec,
  flagWarnings: readonly WarningEvent[],
): Promise<number> {
  await using builds = await openBuilds(options);
  using cancel = cancelOnSignals();
  const view = await createView(options.progress, stderr, viewOptions());
  const warnings: WarningEvent[] = [];
  const progress: ProgressSink = (event) => {
    if (event.kind === 'warning') warnings.push(event);
    view.event(event);
  };
  for (const event of flagWarnings) progress(event);
  try {
    const asked = { ...call, shownName: shownName(options) };
    const result = await builds.call(asked, progress, cancel.signal);
    view.close('done');
    if (options.progress !== 'quiet' && options.progress !== 'rawjson')
      await printWarnings(warnings);
    if (process.env['GITLAB_CI'] === 'true' && result.document)
      await writeCodeQuality(result.document(), asked.shownName);
    stdout.write(result.text);
    if (result.error) await printError(result.error);
    return result.exitCode;
  } catch (error) {
    return await printFailure(error, view, options, warnings);
  }
}

/** Writes what a check found where a job of GitLab passes it on as a report. */
async function writeCodeQuality(document: unknown, dockerfile: string | undefined): Promise<void> {
  const { writeCodeQualityReport } = await import('../reports/code-quality.ts');
  writeCodeQualityReport(document, dockerfile, process.env);
}

/**
 * Returns the name of the Dockerfile for checks, as in buildx: its path from the working directory.
 */
function shownName({
  request: { context, dockerfile },
  shownContext,
}: BuildOptions): string | undefined {
  return dockerfile.kind === 'default' && context.kind === 'directory'
    ? join(shownContext, 'Dockerfile')
    : undefined;
}

function idOf(response: ExportResponse): unknown {
  return response['containerimage.config.digest'] ?? response['containerimage.digest'];
}

/** Writes the image ID file and the metadata file, after all outputs are complete. */
async function writeResultFiles(
  { iidFile, metadataFile, metadata }: BuildOptions,
  response: ExportResponse,
  warnings: readonly WarningEvent[],
  signal: AbortSignal,
): Promise<void> {
  if (iidFile === undefined && metadataFile === undefined) return;
  const { writeIidFile, writeMetadataFile } = await import('../result-files.ts');
  const id = idOf(response);
  if (iidFile !== undefined && id !== undefined) await writeIidFile(iidFile, String(id), signal);
  const told = metadata.warnings && metadataFile ? await toldWarnings(warnings) : {};
  if (metadataFile !== undefined)
    await writeMetadataFile(
      metadataFile,
      `${JSON.stringify(redactData(sorted({ ...response, ...told })), null, 2)}\n`,
      signal,
    );
}

/** Warnings for the metadata file, as buildx has them there. */
async function toldWarnings(warnings: readonly WarningEvent[]): Promise<ExportResponse> {
  const { warningDocument } = await import('../progress/rawjson.ts');
  return {
    'buildx.build.warnings': warnings.map(warningDocument),
  };
}

async function printResult(
  options: BuildOptions,
  response: ExportResponse,
  warnings: readonly WarningEvent[],
  summary: BuildSummary,
  watch: BuildWatch | undefined,
): Promise<void> {
  const id = idOf(response);
  if (options.progress === 'quiet') {
    const text = id === undefined ? '' : `${id}\n`;
    stdout.write(text);
    if (watch) watch.printed = text;
  } else if (options.progress !== 'rawjson' && options.progress !== 'none') {
    await printWarnings(warnings);
    const line = `\n${redactUrl(summary.line(response))}\n`;
    stderr.write(line);
    if (watch) watch.printed = line;
  }
}

function sorted(response: ExportResponse): ExportResponse {
  return Object.fromEntries(Object.entries(response).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Prints the warnings and the error of a failed build. Returns the exit code. */
async function printFailure(
  error: unknown,
  view: ProgressView,
  options: BuildOptions,
  warnings: readonly WarningEvent[],
): Promise<number> {
  view.close(error instanceof CancelledError ? 'cancelled' : 'failed');
  if (options.progress !== 'quiet' && options.progress !== 'rawjson') await printWarnings(warnings);
  const { withSecretHint } = await import('../secret-hint.ts');
  return await printError(withSecretHint(error, options.secrets, process.env));
}
