import type { KilnError } from '../base/errors.ts';
import { redactUrl } from '../base/redact.ts';
import { SECRET_NAME } from '../frontend/check/usage-checks.ts';
import { parseDockerfile } from '../frontend/parse.ts';

const STEP_CODES: readonly string[] = ['KILN_STEP_FAILED', 'KILN_STEP_OOM'];
/** Flags with a value that say what becomes of the result, which there will not be. */
const DROPPED =
  /^(--target|--tag|-t|--output|-o|--iidfile|--metadata-file|--cache-to|--on-error|--progress)$/;
const DROPPED_SWITCH = /^(--push|--load|--quiet|-q|--no-cache)$/;

/**
 * The command that comes to the failed step again and opens a shell there; undefined for other
 * failures, and where something of the build came from standard input. Values of build arguments
 * that are named like secrets are left to the environment, logins of URLs are left out.
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

/** A login in a URL, as a git or http context may have one. */
function withoutLogin(argument: string): string {
  return redactUrl(argument).replaceAll('://xxxxx@', '://');
}

/** The stage that the line of the error is in, where there are several. */
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
