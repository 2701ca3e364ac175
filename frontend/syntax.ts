import { KilnError, type SourceText } from '../base/errors.ts';
import type { WarningEvent } from '../base/progress.ts';
import { type Reference, tryParseReference } from '../base/reference.ts';
import { linesOf, placeOf } from './problem.ts';

/**
 * # The frontend that a file requests
 *
 * `# syntax=IMAGE` in the first lines names the image of the frontend that must read the file. The
 * build argument BUILDKIT_SYNTAX takes precedence. Kiln reads Dockerfiles itself and runs no
 * frontend from an image. It replaces Docker's own images (`docker/dockerfile` and
 * `docker/dockerfile-upstream`, from any mirror). Any other frontend reads another language or a
 * dialect. Such a file, read as a Dockerfile, would be built wrongly.
 */

/** The language that Kiln reads: that of the BuildKit in Docker 28.5. */
export const LANGUAGE = '1.19';

const DOCKERS = /(?:^|\/)docker\/dockerfile(?:-upstream)?$/;

/**
 * Warnings about the requested frontend. Throws KILN_FRONTEND_UNSUPPORTED for one that is not
 * Docker's.
 */
export function checkSyntax(
  source: SourceText,
  override: string | undefined,
): readonly WarningEvent[] {
  const line = override ? undefined : syntaxLine(source.text);
  // The words after the name are arguments for the frontend.
  const wanted = (override || (line?.value ?? '')).trim().split(/\s/, 1)[0] ?? '';
  if (wanted === '') return [];
  const reference = tryParseReference(wanted);
  if (!reference || !DOCKERS.test(reference.path)) throw foreign(wanted, source, line?.number);
  const why = mismatchOf(reference);
  if (why === undefined) return [];
  return [
    {
      kind: 'warning',
      short: `Kiln's own frontend is used for the syntax ${wanted}: it ${why}`,
      detail: ['Kiln does not fetch frontends, so features of that one may be missing'],
      ...(line && {
        source: {
          name: source.name,
          text: source.text,
          startLine: line.number,
          endLine: line.number,
        },
      }),
    },
  ];
}

function mismatchOf({ tag, digest }: Reference): string | undefined {
  if (digest) return `is not the one that ${digest.slice(0, 19)}… names`;
  const [, major = '', minor] = /^v?(\d+)(?:\.(\d+))?/.exec(tag ?? '') ?? [];
  const [ownMajor = 0, ownMinor = 0] = LANGUAGE.split('.').map(Number);
  const isNewer =
    Number(major) > ownMajor || (Number(major) === ownMajor && Number(minor ?? 0) > ownMinor);
  return isNewer ? `knows the language up to ${LANGUAGE}` : undefined;
}

function foreign(wanted: string, source: SourceText, line: number | undefined): KilnError {
  return new KilnError(
    'KILN_FRONTEND_UNSUPPORTED',
    `the file asks for the frontend ${wanted}, and Kiln does not run frontends from images`,
    {
      place:
        line === undefined
          ? { kind: 'flag', flag: '--build-arg BUILDKIT_SYNTAX' }
          : placeOf(linesOf(source, line, line)),
      hint:
        'if it is an ordinary Dockerfile, remove the line or build with --build-arg ' +
        'BUILDKIT_SYNTAX=docker/dockerfile:1',
    },
  );
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
