import { KilnError } from '../../../base/errors.ts';
import type { DeviceRequest } from '../../../executor/cdi/cdi.ts';
import type { ExecOp } from '../../llb/ops.ts';

/**
 * The devices of a step that the build may lend it. `--allow device` allows every one, `--allow
 * device=NAME` one or the kind of one, and `--allow device=NAME,alias=OTHER` gives the one that the
 * Dockerfile calls OTHER: BuildKit's entitlement. What is not allowed is left out where the step
 * can do without. Throws KILN_NOT_ALLOWED.
 */
export function allowedDevices(op: ExecOp, allowed: ReadonlySet<string>): readonly DeviceRequest[] {
  const rules = [...allowed].filter((rule) => /^device(=|$)/.test(rule)).map(parseRule);
  return (op.cdiDevices ?? []).flatMap(({ name, optional }) => {
    const rule = rules.find((candidate) => covers(candidate, name));
    if (rule) return [{ name: rule.alias === name ? rule.name : name, optional }];
    if (optional) return [];
    throw new KilnError(
      'KILN_NOT_ALLOWED',
      `a step asks for the device ${name}, which this build is not allowed`,
      {
        hint: `if you trust the Dockerfile, build with --allow device=${name}`,
      },
    );
  });
}

interface Rule {
  /** Empty for all devices. */
  readonly name: string;
  readonly alias?: string | undefined;
}

function parseRule(text: string): Rule {
  const [name = '', ...options] = text.replace(/^device=?/, '').split(',');
  const alias = options.find((option) => option.startsWith('alias='));
  return { name, alias: alias?.slice('alias='.length) };
}

function covers({ name, alias }: Rule, wanted: string): boolean {
  if (alias !== undefined) return alias === wanted;
  return (
    name === '' ||
    name === wanted ||
    wanted.startsWith(`${name}=`) ||
    (name.endsWith('=*') && wanted.startsWith(name.slice(0, -1)))
  );
}
