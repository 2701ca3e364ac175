type Environment = Readonly<Record<string, string | undefined>>;

/** Who else is told of a build after it has ended, as the environment says. */
export interface WantedReports {
  /** A collector of traces is named. */
  readonly traces: boolean;
  /** The file that GitHub Actions shows as the summary of a job. */
  readonly githubSummary: string | undefined;
  /** The job log is GitLab's, which shows sections. */
  readonly gitlab: boolean;
}

/** Returns undefined when nobody is to be told, which is the usual case. */
export function wantedReports(env: Environment): WantedReports | undefined {
  const traces = Boolean(
    env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_ENDPOINT'],
  );
  const githubSummary = env['GITHUB_STEP_SUMMARY'] || undefined;
  const gitlab = env['GITLAB_CI'] === 'true';
  return traces || githubSummary !== undefined || gitlab
    ? { traces, githubSummary, gitlab }
    : undefined;
}
