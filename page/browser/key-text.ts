/** A part of a key that people see: an option that was not given is none. */
export interface SeenPart {
  readonly name: string;
  readonly value: string;
}

/** These say nothing: an option that was not given. */
const SILENT: ReadonlySet<unknown> = new Set([null, false, '', -1, '-1']);
/** How the inputs of a copy are numbered, and what the version of the form is. */
const INNER: ReadonlySet<string> = new Set(['version', 'kind', 'wiring']);

/**
 * The parts of a cache key as people read them. Most values are JSON with all options of an
 * instruction: those that say nothing are left out.
 */
export function seenParts(key: readonly SeenPart[]): readonly SeenPart[] {
  return key.flatMap(({ name, value }) => {
    const isUsual = value === '0' && (name === 'network' || name === 'security');
    const seen = isUsual ? '' : name.startsWith('mount ') ? mountText(value) : keyText(value);
    return seen === '' ? [] : [{ name, value: seen }];
  });
}

function keyText(value: string): string {
  const parsed = parse(value);
  if (Array.isArray(parsed)) return says(parsed) ? textOf(parsed) : '';
  if (typeof parsed !== 'object' || parsed === null) return value;
  return Object.entries(parsed)
    .flatMap(([name, one]) => {
      if (INNER.has(name) || !says(one)) return [];
      return one === true ? [name] : [`${name}: ${textOf(one)}`];
    })
    .join(', ');
}

/** `[0,["cache",…]]`: the kind of a mount. */
function mountText(value: string): string {
  const parsed = parse(value);
  const [, about] = Array.isArray(parsed) ? parsed : [];
  return Array.isArray(about) && typeof about[0] === 'string' ? about[0] : value;
}

function parse(value: string): unknown {
  if (!/^[[{]/.test(value)) return undefined;
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

function says(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(says);
  if (typeof value === 'object' && value !== null) return Object.values(value).some(says);
  return !SILENT.has(value);
}

function textOf(value: unknown): string {
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string'))
    return typeof value === 'object' ? JSON.stringify(value) : String(value);
  return value.map((one) => (/^[^\s"]+$/.test(one) ? one : JSON.stringify(one))).join(' ');
}
