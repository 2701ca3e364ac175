import { KilnError } from '../base/errors.ts';
import { isRunning, lastWritten, logNames, readHeader } from '../builder/history/build-log.ts';
import { lastLine } from '../builder/history/last-line.ts';
import type { ToldCounts } from '../builder/history/step-counts.ts';
import type { BuildView } from './build-view.ts';
import { readBuildView } from './read-build.ts';
import { buildName, gitView, requestView } from './request-view.ts';

/** What a list shows of a build. It is read from the first line and the last one of its record. */
export interface ListedBuild {
  readonly id: string;
  /** The name that its client gave it, or else its ID. */
  readonly ref: string;
  readonly name: string;
  /** `damaged` means that its first line cannot be read. */
  readonly state: BuildView['state'] | 'damaged';
  /** Milliseconds since 1970. */
  readonly started: number;
  readonly ended?: number;
  /** The repository that was built, or that the context is in. */
  readonly repository: string;
  /** Reads the whole record when its last line does not tell. */
  readonly counts: () => ToldCounts;
}

type Document = Readonly<Record<string, unknown>>;

/**
 * The builds whose records are kept, the newest first. Those that began in the same millisecond are
 * in the order of their refs, which is the same in each store. What is damaged hides no other.
 */
export function listBuilds(directory: string): ListedBuild[] {
  return logNames(directory)
    .flatMap((id) => listedBuild(directory, id) ?? [])
    .sort((a, b) => b.started - a.started || (a.ref < b.ref ? 1 : -1));
}

/** Undefined for a record that another process has removed, or of what is no build. */
function listedBuild(directory: string, id: string): ListedBuild | undefined {
  const written = lastWritten(directory, id);
  if (written === undefined) return undefined;
  const header = readHeader(directory, id);
  if (header['internal'] === true) return undefined;
  const end = lastLine(directory, id);
  const request = requestView(header, [], []);
  const started = Number(header['started'] ?? written);
  const state = stateOf(directory, id, header, end);
  const over = state === 'running' ? undefined : Number(end?.['ended'] ?? written);
  const ref = header['ref'];
  return {
    id,
    ref: typeof ref === 'string' && ref !== '' ? ref : id,
    name: buildName(request),
    state,
    started,
    ...(over !== undefined && { ended: Math.round(over) }),
    repository: gitView(header)?.remote ?? repositoryOf(header),
    counts: () => (end?.['counts'] as ToldCounts | undefined) ?? readCounts(directory, id),
  };
}

function stateOf(
  directory: string,
  id: string,
  header: Document,
  end: Document | undefined,
): ListedBuild['state'] {
  if (header['build'] === undefined) return 'damaged';
  if (!end) return isRunning(directory, id, header) ? 'running' : 'lost';
  if (end['code'] === 'KILN_CANCELLED') return 'cancelled';
  return end['error'] === undefined ? 'completed' : 'failed';
}

function repositoryOf({ frontendAttrs, context }: Document): string {
  const attributes = Object(frontendAttrs) as Document;
  return String(attributes['vcs:source'] ?? attributes['context'] ?? context ?? '');
}

const NO_COUNTS: ToldCounts = { steps: 0, completed: 0, cached: 0, failed: 0, warnings: 0 };

function readCounts(directory: string, id: string): ToldCounts {
  try {
    return readBuildView(directory, id).counts;
  } catch {
    return NO_COUNTS;
  }
}

/**
 * Finds the build that somebody names: by its ref or ID, by how one of them begins, by `^N` for
 * the one N builds before the last, or the last one for undefined. Throws KILN_LOG_NOT_FOUND.
 */
export function findBuild(builds: readonly ListedBuild[], wanted: string | undefined): ListedBuild {
  const [, back] = /^\^(\d+)$/.exec(wanted ?? '^0') ?? [];
  const found =
    back === undefined
      ? named(builds, (wanted ?? '').split('/').at(-1) ?? '')
      : builds[Number(back)];
  if (found) return found;
  throw new KilnError(
    'KILN_LOG_NOT_FOUND',
    builds.length === 0
      ? 'there is no record of a build yet'
      : back === undefined
        ? `there is no record of a build ${JSON.stringify(wanted)}`
        : `there are only ${builds.length} records of builds`,
    { hint: builds.length === 0 ? "'kiln build' leaves one" : "'kiln history ls' lists them" },
  );
}

function named(builds: readonly ListedBuild[], wanted: string): ListedBuild | undefined {
  return (
    builds.find(({ ref, id }) => ref === wanted || id === wanted) ??
    (wanted === ''
      ? undefined
      : builds.find(({ ref, id }) => ref.startsWith(wanted) || id.startsWith(wanted)))
  );
}
