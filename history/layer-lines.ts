import type { BuildView } from './build-view.ts';
import { instructionOf } from './step-names.ts';

/** The lines of a Dockerfile that made an entry of an image's history. */
export interface LineOrigin {
  /** The index in `BuildView.steps`. */
  readonly step: number;
  /** The index in `BuildView.sources`, and lines counted from 1. Undefined if not known. */
  readonly lines?: { readonly source: number; readonly start: number; readonly end: number };
}

/**
 * Finds for each line of an image's history, oldest first, the step of the build that made it.
 * Undefined for lines of the base image, for those that only change the config, and for all lines
 * that the build did not make. Both are in one order, so they are compared from the end.
 */
export function linesOfHistory(
  view: Pick<BuildView, 'steps'>,
  history: readonly { readonly createdBy: string; readonly layer?: number }[],
): (LineOrigin | undefined)[] {
  const steps = view.steps.flatMap(({ name, isInternal, lines }, step) =>
    isInternal ? [] : [{ step, lines, text: withoutFlags(oneLine(instructionOf(name))) }],
  );
  let end = steps.length;
  const origins = history.toReversed().map(({ createdBy, layer }) => {
    if (layer === undefined) return undefined;
    const text = oneLine(createdBy).replace(/ # buildkit$/, '');
    const at = steps.findLastIndex((one, index) => index < end && isMadeBy(text, one.text));
    if (at < 0) return undefined;
    end = at;
    const { step, lines } = steps[at]!;
    return { step, ...(lines && { lines }) };
  });
  return origins.reverse();
}

/** In the history, `RUN make` is `RUN |1 A=b /bin/sh -c make`, with any shell. */
function isMadeBy(createdBy: string, instruction: string): boolean {
  const text = withoutFlags(createdBy);
  if (text === instruction) return true;
  if (!/^RUN /i.test(instruction) || !text.startsWith('RUN ')) return false;
  return text.endsWith(` ${instruction.slice('RUN '.length)}`);
}

/** Flags are in the names of steps, and not always in the history. */
function withoutFlags(text: string): string {
  return text.replace(/^(\S+ )(?:--[\w-]+(?:=\S*)? )+/, '$1');
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
