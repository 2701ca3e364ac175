import { messageOf } from '../../base/errors.ts';
import type { BuildView } from '../../history/build-view.ts';
import { readBuildView } from '../../history/read-build.ts';
import { traceCollector } from '../daemon/trace-collector.ts';
import { stderr } from '../output.ts';
import { gitlabSummary } from './gitlab.ts';
import { lastBuildOf } from './last-build.ts';
import { markdownSummary } from './markdown.ts';
import type { WantedReports } from './wanted-reports.ts';
import { writeReport } from './write-report.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Tells others of a build that has ended: a collector of traces, GitHub, GitLab. `logs` is the
 * directory with the record `id`. What cannot be told is a warning and does not change the outcome
 * of the build.
 */
export async function reportBuild(
  wanted: WantedReports,
  logs: string,
  id: string,
  env: Environment,
  isQuiet: boolean,
): Promise<void> {
  const warn = (what: string, error: unknown) =>
    void stderr.write(`WARNING: ${what}: ${messageOf(error)}\n`);
  let view: BuildView;
  try {
    view = readBuildView(logs, id);
  } catch (error) {
    return warn('the record of the build cannot be read, so nobody is told of it', error);
  }
  const last =
    wanted.githubSummary !== undefined || wanted.gitlab ? lastBuildOf(logs, view) : undefined;
  if (wanted.gitlab && !isQuiet) stderr.write(gitlabSummary(view, last, Date.now()));
  const { githubSummary } = wanted;
  if (githubSummary !== undefined)
    try {
      writeReport('the summary of the job', githubSummary, markdownSummary(view, last), 'append');
    } catch (error) {
      warn('the summary of the job cannot be written', error);
    }
  if (!wanted.traces) return;
  try {
    const collector = traceCollector(env);
    if (!collector) return;
    const { sendTrace } = await import('./send-trace.ts');
    await sendTrace(collector, view, env['TRACEPARENT'], (sentence) =>
      stderr.write(`WARNING: ${sentence}\n`),
    );
  } catch (error) {
    warn('the trace of the build cannot be sent', error);
  }
}
