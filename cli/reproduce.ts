import type { KilnError } from '../base/errors.ts';
import { redactUrl } from '../base/redact.ts';
import { SECRET_NAME } from '../frontend/check/usage-checks.ts';
import { parseDockerfile } from '../frontend/parse.ts';

/** The codes of the errors of a step whose program failed. */
export const STEP_CODES: readonly string[] = ['KILN_STEP_FAILED', 'KILN_STEP_OOM'];
/** Flags with a value that are about the result. The command does not get that far. */
const DROPPED =
  /^(--target|--tag|-t|--output|-o|--iidfile|--metadata-file|--cache-to|--on-error|--progress)$/;
const DROPPED_SWITCH = /^(--push|--load|--quiet|-q|--no-cache)$/;

/**
 * Returns a command line that runs the build up to the failed step and opens a shell there. `argv`
 * are the arguments of the build that failed with `error`.
 *
 * Returns undefined when no step failed, when that build opened a shell already, and when it read
 * something from standard input. The value of a build argument with a name like a secret is left
 * out, so that the build takes it from the environment. Logins in URLs are left out, too.
 */
export function reproduction(argv: readonly string[], error: KilnError): string | undefined {
  if (
    !STEP_CODES.includes(error.code) ||
    argv.some((argument) => argument.startsWith('--on-error'))
  )
    return undefined;
  const kept = keptArguments(argv);
  if (kept.some((argument) => /^-$|(^|[,=])(-|\/dev\/stdin)(,|$)/.test(argument))) return undefined;
  const stage = stageOf(error);
  const target = stage === undefined ? [] : ['--target', stage];
  return ['kiln', 'build', ...target, '--on-error=shell', ...kept]
    .map(withoutLogin)
    .map(quoted)
    .join(' ');
}

function keptArguments(argv: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? '';
    const name = argument.split('=', 1)[0] ?? '';
    if (DROPPED.test(name)) {
      if (!argument.includes('=')) at++;
    } else if (name === '--build-arg' && !argument.includes('=')) {
      kept.push(argument, withoutSecret(argv[++at] ?? ''));
    } else if (name === '--build-arg')
      kept.push('--build-arg', withoutSecret(argument.slice('--build-arg='.length)));
    else if (!DROPPED_SWITCH.test(name)) kept.push(argument);
  }
  return kept;
}

function withoutSecret(buildArg: string): string {
  const name = buildArg.split('=', 1)[0] ?? '';
  return SECRET_NAME.test(name) ? name : buildArg;
}

/** Removes the login from a URL. A git or http context may contain one. */
function withoutLogin(argument: string): string {
  return redactUrl(argument).replaceAll('://xxxxx@', '://');
}

/**
 * Returns the stage that contains the line of the error. Undefined when there is only one stage.
 */
function stageOf({ place }: KilnError): string | undefined {
  if (place?.kind !== 'source') return undefined;
  const { stages } = parseDockerfile(place.source);
  if (stages.length < 2) return undefined;
  const index = stages.findLastIndex(({ from }) => from.range.start.line <= place.start.line);
  return stages[index]?.from.name ?? (index < 0 ? undefined : String(index));
}

function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}
