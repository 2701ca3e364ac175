import { KilnError, type Place, type SourceText } from '../base/errors.ts';
import type { WarningEvent } from '../base/progress.ts';
import { type Reference, tryParseReference } from '../base/reference.ts';
import { linesOf, placeOf } from './problem.ts';

/**
 * # The frontend that a file requests
 *
 * `# syntax=IMAGE` in the first lines names the image of the frontend that must read the file. The
 * build argument BUILDKIT_SYNTAX takes precedence. Kiln's own frontend takes the place of Docker's
 * images (`docker/dockerfile` and `docker/dockerfile-upstream`, from any mirror), as in BuildKit
 * since 0.29. Any other frontend reads another language or a dialect, so its image is run. The same
 * is true of an image that is named by its digest: whoever pins a frontend wants that one.
 */

/** The language that Kiln reads: that of BuildKit 0.33. */
export const LANGUAGE = '1.27';

const DOCKERS = /(?:^|\/)docker\/dockerfile(?:-upstream)?$/;

/** The frontend that a file requests. */
export interface RequestedSyntax {
  /** The frontend in an image. Undefined when the built-in frontend reads the file. */
  readonly image: SyntaxImage | undefined;
  /** Warnings about a frontend that the built-in one takes the place of. */
  readonly warnings: readonly WarningEvent[];
}

/** A frontend that must be run from its image. */
export interface SyntaxImage {
  /** The name of the image as it is written. */
  readonly name: string;
  /** The whole value: the name, and after it arguments for the frontend. */
  readonly cmdline: string;
  /** Where it is named. */
  readonly place: Place;
}

/**
 * Returns the frontend that `source` requests. `override` is the value of BUILDKIT_SYNTAX. Throws
 * KILN_FRONTEND_UNSUPPORTED for a name that is not a valid name of an image.
 */
export function requestedSyntax(source: SourceText, override: string | undefined): RequestedSyntax {
  const line = override ? undefined : syntaxLine(source.text);
  const cmdline = (override || (line?.value ?? '')).trim();
  // The words after the name are arguments for the frontend.
  const name = cmdline.split(/\s/, 1)[0] ?? '';
  if (name === '') return { image: undefined, warnings: [] };
  const place: Place = line
    ? placeOf(linesOf(source, line.number, line.number))
    : { kind: 'flag', flag: '--build-arg BUILDKIT_SYNTAX' };
  const reference = tryParseReference(name);
  if (!reference) throw invalidName(name, place);
  if (!isBuiltIn(reference)) return { image: { name, cmdline, place }, warnings: [] };
  const why = mismatchOf(reference);
  if (why === undefined) return { image: undefined, warnings: [] };
  const warning: WarningEvent = {
    kind: 'warning',
    short: `Kiln's own frontend is used for the syntax ${name}: it ${why}`,
    detail: [
      'features of a newer language may be missing: name the frontend by its digest to have it run',
    ],
    ...(line && {
      source: {
        name: source.name,
        text: source.text,
        startLine: line.number,
        endLine: line.number,
      },
    }),
  };
  return { image: undefined, warnings: [warning] };
}

/** True for an image that the built-in frontend takes the place of. */
export function isBuiltIn({ path, digest }: Reference): boolean {
  return digest === undefined && DOCKERS.test(path);
}

/** The error for a frontend in an image where none can be run. */
export function noImageFrontends({ name, place }: SyntaxImage): KilnError {
  return new KilnError(
    'KILN_FRONTEND_UNSUPPORTED',
    `the file asks for the frontend ${name}, and frontends from images are not run here`,
    { place, hint: ORDINARY },
  );
}

const ORDINARY =
  'if it is an ordinary Dockerfile, remove the line or build with --build-arg ' +
  'BUILDKIT_SYNTAX=docker/dockerfile:1';

function invalidName(name: string, place: Place): KilnError {
  return new KilnError(
    'KILN_FRONTEND_UNSUPPORTED',
    `the file asks for the frontend ${name}, which is not a valid name of an image`,
    { place, hint: ORDINARY },
  );
}

function mismatchOf({ tag }: Reference): string | undefined {
  const [, major = '', minor] = /^v?(\d+)(?:\.(\d+))?/.exec(tag ?? '') ?? [];
  const [ownMajor = 0, ownMinor = 0] = LANGUAGE.split('.').map(Number);
  const isNewer =
    Number(major) > ownMajor || (Number(major) === ownMajor && Number(minor ?? 0) > ownMinor);
  return isNewer ? `knows the language up to ${LANGUAGE}` : undefined;
}

interface Line {
  readonly value: string;
  readonly number: number;
}

/**
 * Finds the line as BuildKit does (parser.DetectSyntax): directives after `#`, else after `//`,
 * else a file that is one JSON object.
 */
function syntaxLine(text: string): Line | undefined {
  return directiveOf(text, 'syntax') ?? directiveOf(text, 'syntax', '//') ?? inJson(text);
}

const DIRECTIVE = /^[ \t]*([a-zA-Z][a-zA-Z0-9]*)[ \t]*=[ \t]*(.+?)[ \t\r]*$/;

/** The directive of that name in the first lines, without reading further. */
export function directiveOf(
  text: string,
  name: string,
  comment: '#' | '//' = '#',
): Line | undefined {
  let number = 0;
  for (let at = text.startsWith('\ufeff') ? 1 : 0; at < text.length; ) {
    const newline = text.indexOf('\n', at);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(at, end);
    at = end + 1;
    number++;
    if (number === 1 && line.startsWith('#!')) continue;
    const match = line.startsWith(comment) ? DIRECTIVE.exec(line.slice(comment.length)) : null;
    if (!match) return undefined;
    if (match[1]!.toLowerCase() === name) return { value: match[2]!, number };
  }
  return undefined;
}

function inJson(text: string): Line | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    const { syntax } = value as { readonly syntax?: unknown };
    return typeof syntax === 'string' ? { value: syntax, number: 1 } : undefined;
  } catch {
    return undefined;
  }
}
