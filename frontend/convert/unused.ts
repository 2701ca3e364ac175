import type { WarningEvent } from '../../base/progress.ts';
import { didYouMean } from '../../base/suggest.ts';
import type { FrontendRequest } from '../frontend.ts';
import type { Dockerfile } from '../instructions.ts';

/** Arguments that have a meaning without an ARG. */
const PREDEFINED = [
  /^(?:https?|ftp|no|all)_proxy$/i,
  /^source_date_epoch$/i,
  /^buildkit_\w+$/i,
  /^(?:build|target)(?:platform|os|osversion|arch|variant)$/i,
  /^targetstage$/i,
];

/**
 * A warning about `--build-arg` names that no ARG of the file declares, as in Docker's older
 * builder. `triggers` are the ONBUILDs of the bases, which may declare some too.
 */
export function unusedBuildArgs(
  { globalArgs, stages }: Dockerfile,
  buildArgs: ReadonlyMap<string, string>,
  triggers: readonly string[],
): WarningEvent | undefined {
  if (buildArgs.size === 0) return undefined;
  const instructions = stages.flatMap((stage) => stage.instructions);
  const args = [...globalArgs, ...instructions.filter((instruction) => instruction.kind === 'arg')];
  const deferred = [
    ...triggers,
    ...instructions.flatMap((one) => (one.kind === 'onbuild' ? [one.expression] : [])),
  ];
  const words = deferred.flatMap((text) => /^\s*ARG\s+(.*)$/is.exec(text)?.[1]?.split(/\s+/) ?? []);
  const declared = new Set([
    ...args.flatMap((instruction) => instruction.args.map(({ key }) => key)),
    ...words.map((word) => word.replace(/=.*$/s, '')),
  ]);
  const unused = [...buildArgs.keys()].filter(
    (name) => !declared.has(name) && !PREDEFINED.some((pattern) => pattern.test(name)),
  );
  if (unused.length === 0) return undefined;
  return {
    kind: 'warning',
    short: `One or more build-args [${unused.join(' ')}] were not consumed`,
    detail: unused.map(
      (name) => `no ARG of the Dockerfile is named ${name}${didYouMean(name, declared)}`,
    ),
  };
}

/** A warning about stages of `--no-cache-filter` that the file does not have. */
export function unusedFilters(
  { stages }: Dockerfile,
  noCache: FrontendRequest['noCache'],
): WarningEvent | undefined {
  if (typeof noCache === 'string') return undefined;
  const names = stages.flatMap(({ from }) => from.name ?? []);
  const unused = noCache.filter((name) => !names.includes(name.toLowerCase()));
  if (unused.length === 0) return undefined;
  return {
    kind: 'warning',
    short: `--no-cache-filter [${unused.join(' ')}] has no effect: no stage has that name`,
    detail: unused.map(
      (name) => `no stage of the Dockerfile is named ${name}${didYouMean(name, names)}`,
    ),
  };
}

/**
 * A warning about `--build-context` names that do not occur in the text of the file or of its
 * ONBUILD `triggers`. There is no warning where a variable may contain the name, because a stage
 * that is not built may use it.
 */
export function unusedContexts(
  { dockerfile, namedContexts, volumes }: FrontendRequest,
  triggers: readonly string[],
): WarningEvent | undefined {
  if (namedContexts.size === 0) return undefined;
  const text = [dockerfile.text, ...triggers].join('\n').toLowerCase();
  if (/from(?:=|\s+).*\$/.test(text)) return undefined;
  const mounted = new Set(volumes.map(({ context }) => context));
  const unused = [...namedContexts.keys()].filter(
    (key) => !mounted.has(key) && !text.includes(shortest(key)),
  );
  if (unused.length === 0) return undefined;
  return {
    kind: 'warning',
    short:
      `--build-context [${unused.join(' ')}] has no effect: nothing in the ` +
      'Dockerfile has that name',
    detail: [],
  };
}

/** The common part of all ways to write the name: no registry, no platform, no `latest`. */
function shortest(key: string): string {
  const name = key.split('::', 1)[0] ?? '';
  return name
    .toLowerCase()
    .replace(/^(?:docker\.io\/)?(?:library\/)?/, '')
    .replace(/:latest$/, '');
}
