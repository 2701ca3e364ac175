import type { KilnError, SourceText } from '../../base/errors.ts';
import type { SourceRange } from '../../solver/llb/graph.ts';
import type { Outline } from '../convert/outline.ts';
import { lastLineOf } from '../lines.ts';
import { asBuildKitSays } from '../problem.ts';
import type { CheckReport, Target } from './call.ts';

/*
 * The answers as JSON documents, with the fields that buildx prints (frontend/subrequests of
 * BuildKit). Empty fields are left out.
 */

interface Location {
  readonly sourceIndex?: number;
  readonly ranges?: readonly {
    readonly start: { readonly line: number };
    readonly end: { readonly line: number };
  }[];
}

/**
 * A document has a range for each line of an instruction up to this many lines. For a longer
 * instruction it has the first and the last line.
 */
const MOST_LINES = 500;

/** One range for each line, as BuildKit reports an instruction of several lines. */
function lines(start: number, end: number): Location {
  const count = Math.max(1, end - start + 1);
  if (count > MOST_LINES) return { ranges: [{ start: { line: start }, end: { line: end } }] };
  return {
    ranges: Array.from({ length: count }, (_, index) => ({
      start: { line: start + index },
      end: { line: start + index },
    })),
  };
}

function locationOf({ start, end }: SourceRange): Location {
  return lines(start.line, end.line);
}

/** Unlike in BuildKit, sources have no `definition`, because there is no graph that reads them. */
export function checkDocument({ source, warnings, error }: CheckReport): unknown {
  const sources: SourceText[] = [source];
  const indexOf = (text: SourceText): number => {
    const index = sources.findIndex(
      (known) => known.name === text.name && known.text === text.text,
    );
    return index < 0 ? sources.push(text) - 1 : index;
  };
  const found = warnings.map(({ rule, message, range }) => {
    const sourceIndex = indexOf(range.source);
    return {
      ruleName: rule.name,
      description: rule.description,
      url: rule.url,
      detail: message,
      location: { ...(sourceIndex > 0 && { sourceIndex }), ...locationOf(range) },
    };
  });
  return {
    warnings: found.length > 0 ? found : null,
    sources: sources.map(({ name, text }) => ({
      filename: name,
      data: base64(text),
      ...(text === source.text && name === source.name && { language: 'Dockerfile' }),
    })),
    ...(error && {
      buildError: { message: asBuildKitSays(error), location: placeOf(error, source) },
    }),
  };
}

/** Findings that fail the build have their own places. */
function placeOf({ code, place }: KilnError, source: SourceText): Location {
  if (
    code === 'KILN_DOCKERFILE_CHECK' ||
    place?.kind !== 'source' ||
    place.source.name !== source.name
  )
    return {};
  const { line } = place.start;
  return lines(line, Math.max(place.end.line, lastLineOf(source, line)));
}

export function outlineDocument(
  { name, description, args, secrets, ssh, caches }: Outline,
  source: SourceText,
): unknown {
  const mounts = (found: Outline['secrets']) =>
    found.map((mount) => ({
      name: mount.name,
      ...(mount.required && { required: true }),
      location: locationOf(mount.range),
    }));
  return {
    ...(name && { name }),
    ...(description && { description }),
    ...(args.length > 0 && {
      args: args.map((arg) => ({
        name: arg.name,
        ...(arg.description && { description: arg.description }),
        ...(arg.value && { value: arg.value }),
        location: locationOf(arg.range),
      })),
    }),
    ...(secrets.length > 0 && { secrets: mounts(secrets) }),
    ...(ssh.length > 0 && { ssh: mounts(ssh) }),
    // BuildKit's document has this field too, but BuildKit never fills it.
    ...(caches.length > 0 && {
      cache: caches.map((cache) => ({ ID: cache.name, location: locationOf(cache.range) })),
    }),
    sources: [base64(source.text)],
  };
}

export function targetsDocument(targets: readonly Target[], source: SourceText): unknown {
  return {
    targets: targets.map((target) => ({
      ...(target.name && { name: target.name }),
      ...(target.isDefault && { default: true }),
      ...(target.description && { description: target.description }),
      base: target.base,
      ...(target.platform && { platform: target.platform }),
      location: lines(target.line, target.endLine),
    })),
    sources: [base64(source.text)],
  };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
