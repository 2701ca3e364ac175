import type { BuildView, StepView } from './build-view.ts';
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
  view: Pick<BuildView, 'steps' | 'sources'>,
  history: readonly { readonly createdBy: string; readonly layer?: number }[],
): (LineOrigin | undefined)[] {
  const steps = view.steps.flatMap((one, step) =>
    one.isInternal ? [] : [{ step, lines: one.lines, texts: textsOf(view, one) }],
  );
  let end = steps.length;
  const origins = history.toReversed().map(({ createdBy, layer }) => {
    if (layer === undefined) return undefined;
    const text = oneLine(createdBy).replace(/ # buildkit$/, '');
    const at = steps.findLastIndex(
      (one, index) => index < end && one.texts.some((told) => isMadeBy(text, told)),
    );
    if (at < 0) return undefined;
    end = at;
    const { step, lines } = steps[at]!;
    return { step, ...(lines && { lines }) };
  });
  return origins.reverse();
}

/**
 * What the history may say of a step: the instruction as its name tells it, and with heredocs,
 * which names leave out. Of `RUN <<EOF` the history has the heredoc alone.
 */
function textsOf({ sources }: Pick<BuildView, 'sources'>, { name, lines }: StepView): string[] {
  const told = withoutFlags(oneLine(instructionOf(name)));
  const source = lines && sources[lines.source]?.text;
  const [first = '', ...rest] = source?.split('\n').slice(lines!.start - 1, lines!.end) ?? [];
  if (rest.length === 0 || !first.includes('<<')) return [told];
  const whole = withoutFlags(oneLine([first, ...rest].join('\n')));
  const body = /^\s*RUN\s+(?:--\S+\s+)*<<-?["']?\w+["']?\s*$/i.test(first)
    ? [`RUN ${oneLine(rest.slice(0, -1).join('\n'))}`]
    : [];
  return [told, whole, ...body];
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
