import { formatPurl } from '../attest/purl.ts';
import { elfSection } from './elf.ts';
import type { ImageFile } from './imagefile.ts';
import { type FoundPackage, soundName, soundVersion } from './package.ts';

const MAGIC = Buffer.from('\xff Go buildinf:', 'latin1');
/**
 * The strings follow the header in programs since Go 1.18. In older programs the header points to
 * them.
 */
const INLINE = 2;
const HEADER = 32;
/** The text stands between two marks of this length. */
const MARK = 16;
const LIMIT = 4 << 20;
const MAX_MODULES = 20_000;

/** `old` is a Go program built before Go 1.18. */
export type GoProgram = readonly FoundPackage[] | 'old';

/**
 * The modules in a Go program: its own module, its dependencies, and the standard library
 * (pkg.go.dev/debug/buildinfo). Undefined when the file is not a Go program.
 */
export function goPackages(file: ImageFile, foundIn: string): GoProgram | undefined {
  const section = elfSection(file, '.go.buildinfo', LIMIT);
  if (!section || section.length < HEADER || !section.subarray(0, MAGIC.length).equals(MAGIC))
    return undefined;
  if (!(section[MAGIC.length + 1]! & INLINE)) return 'old';
  const version = lengthFramed(section, HEADER);
  const modules = version && lengthFramed(section, version.end);
  const found = modulesIn(modules?.bytes.subarray(MARK, -MARK).toString('utf8') ?? '');
  const go = /^go(\S+)/.exec(version?.bytes.toString('latin1') ?? '')?.[1];
  if (go) found.push({ path: 'stdlib', version: go });
  return found.flatMap(({ path, version: of }) => {
    if (!soundName(path)) return [];
    // A module built from a checkout has no version.
    const known = of !== undefined && soundVersion(of) ? of : undefined;
    return [
      {
        name: path,
        version: known,
        purl: formatPurl({ type: 'golang', name: path.toLowerCase(), version: known }),
        foundIn,
      },
    ];
  });
}

interface Module {
  path: string;
  version: string | undefined;
}

/**
 * Parses lines of `path`, `mod`, `dep` and `=>` with fields separated by tabs
 * (runtime/debug.BuildInfo).
 */
function modulesIn(text: string): Module[] {
  const modules: Module[] = [];
  let program: string | undefined;
  for (const line of text.split('\n', MAX_MODULES)) {
    const [kind, path = '', version] = line.split('\t');
    if (kind === 'path') program = path;
    else if (kind === 'mod' || kind === 'dep') modules.push({ path, version });
    // The module replaces the one before. A local directory as replacement has no name that is
    // known elsewhere.
    else if (kind === '=>' && !/^[./]/.test(path))
      Object.assign(modules.at(-1) ?? {}, { path, version });
  }
  if (modules.length === 0 && program !== undefined)
    modules.push({ path: program, version: undefined });
  return modules;
}

/** Bytes that follow their length, which is a varint. */
function lengthFramed(
  bytes: Buffer,
  start: number,
): { readonly bytes: Buffer; readonly end: number } | undefined {
  let length = 0;
  for (let at = start, shift = 0; shift <= 28 && at < bytes.length; at++, shift += 7) {
    const byte = bytes[at]!;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte >= 0x80) continue;
    const end = at + 1 + length;
    return end <= bytes.length ? { bytes: bytes.subarray(at + 1, end), end } : undefined;
  }
  return undefined;
}
