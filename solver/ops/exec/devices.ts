import { KilnError } from '../../../base/errors.ts';
import type { DeviceRequest } from '../../../executor/cdi/cdi.ts';
import type { ExecOp } from '../../llb/exec-op.ts';

/**
 * The devices that the build allows a step to use. As with BuildKit, `--allow device` allows every
 * device. `--allow device=NAME` allows one device or all of one kind. `--allow
 * device=NAME,alias=OTHER` gives NAME to a step that requests OTHER. An optional device that is not
 * allowed is left out; a required one throws KILN_NOT_ALLOWED.
 */
export function allowedDevices(op: ExecOp, allowed: ReadonlySet<string>): readonly DeviceRequest[] {
  const rules = [...allowed].filter((rule) => /^device(=|$)/.test(rule)).map(parseRule);
  return (op.cdiDevices ?? []).flatMap(({ name, optional }) => {
    const rule = rules.find((candidate) => covers(candidate, name));
    if (rule) return [{ name: rule.alias === name ? rule.name : name, optional }];
    if (optional) return [];
    throw new KilnError(
      'KILN_NOT_ALLOWED',
      `a step needs the device ${name}, which this build does not allow`,
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
