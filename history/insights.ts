import { bytes } from '../base/units.ts';
import type { BuildView, StepView } from './build-view.ts';
import { type Install, installOf } from './installs.ts';

/**
 * One thing to know about a build: why it was slow or failed, and what to change. The sentences are
 * plain text; names of steps in them are hostile, as everything of a build.
 */
export interface Insight {
  readonly kind:
    | 'failed'
    | 'longest'
    | 'copy-before-install'
    | 'emulated'
    | 'context'
    | 'full-machine'
    | 'fetching'
    | 'wasted'
    | 'cached'
    | 'short';
  /** What is so. */
  readonly what: string;
  /** What to do about it. */
  readonly advice?: string;
  /** By how much a build would be shorter, in milliseconds, as far as that is known. */
  readonly saves?: number;
  /** The step that it is about. */
  readonly step?: number;
  /** Where it is seen. */
  readonly seenIn: 'timeline' | 'log' | 'image';
}

/** What is known of the images of a build, besides its view. Sizes are in bytes. */
export interface ImageWaste {
  readonly size: number;
  readonly wasted: number;
  /** The path with most of it. */
  readonly largest?: { readonly path: string; readonly how: 'removed' | 'replaced' } | undefined;
}

/** What takes less is not worth a sentence, in milliseconds. */
const WORTH_MS = 500;
/** A context of more bytes than this is worth a sentence. */
const LARGE_CONTEXT = 50_000_000;
const WASTED_BYTES = 5_000_000;
/** Nobody reads more. */
const MOST = 12;

/** Says why a build took so long and what to change: a failure first, then what would save most. */
export function insightsOf(
  view: BuildView,
  image?: ImageWaste,
  now: number = Date.now(),
): readonly Insight[] {
  const facts: Facts = {
    view,
    whole: Math.max(1, (view.ended ?? now) - view.started),
    took: (step) =>
      step.started === undefined ? 0 : Math.max(0, (step.ended ?? now) - step.started),
  };
  const found = [
    ...copiesBeforeInstalls(facts),
    ...emulatedSteps(facts),
    ...largeContext(facts),
    ...fullMachine(facts),
    ...longFetch(facts),
  ];
  const longest = longestStep(facts, found);
  const slow = [...longest, ...found].sort((a, b) => (b.saves ?? 0) - (a.saves ?? 0));
  const all = [...failure(facts), ...slow, ...wastedBytes(image)];
  return all.length > 0 ? all.slice(0, MOST) : nothingToSay(facts);
}

interface Facts {
  readonly view: BuildView;
  /** How long the build took, in milliseconds. */
  readonly whole: number;
  readonly took: (step: StepView) => number;
}

function failure({ view }: Facts): Insight[] {
  const { error } = view;
  if (!error) return [];
  const step = error.step === undefined ? undefined : view.steps[error.step];
  const where = error.lines ? ` at line ${error.lines.start}` : '';
  return [
    {
      kind: 'failed',
      what: step
        ? `The build failed${where}, in ${quoted(step)}: ${oneSentence(error.text)}.`
        : `The build failed: ${oneSentence(error.text)}.`,
      advice: error.hint ?? 'The last lines of its log say more.',
      ...(error.step !== undefined && { step: error.step }),
      seenIn: 'log',
    },
  ];
}

/** The longest step of the critical path, unless another insight is about it. */
function longestStep({ view, whole, took }: Facts, others: readonly Insight[]): Insight[] {
  const path = view.criticalPath.filter((index) => view.steps[index]);
  const longest = path.reduce<number | undefined>(
    (best, index) =>
      best === undefined || took(view.steps[index]!) > took(view.steps[best]!) ? index : best,
    undefined,
  );
  if (longest === undefined || others.some(({ step }) => step === longest)) return [];
  const step = view.steps[longest]!;
  const time = took(step);
  if (time < WORTH_MS || time < whole * 0.1 || step.state === 'cached') return [];
  const before = step.inputs
    .map((index) => view.steps[index])
    .filter((input) => input?.ended !== undefined)
    .sort((a, b) => b!.ended! - a!.ended!)[0];
  const waited = before ? before.ended! - view.started : 0;
  const waiting =
    before && waited > whole * 0.1
      ? ` It could start only after ${quoted(before)}, ${seconds(waited)} into the build.`
      : '';
  return [
    {
      kind: 'longest',
      what:
        `${quoted(step)} took ${seconds(time)}, ${share(time, whole)} of the build: nothing else ` +
        `made the build wait longer.${waiting}`,
      advice: adviceFor(view, step),
      saves: step.wouldSave,
      step: longest,
      seenIn: 'timeline',
    },
  ];
}

/** A variable that is another one than before, as solver/explain/reason.ts tells it. */
const UNUSED = /^the build argument or variable (\S+) (?:is new|is gone|has another value)/;

function adviceFor(view: BuildView, step: StepView): string {
  const install = installOf(writtenInstruction(view, step));
  const why = step.miss === undefined ? '' : `It was not cached because ${step.miss}. `;
  if (install && !/--mount=\S*type=cache/.test(writtenInstruction(view, step)))
    return (
      `${why}A cache mount keeps what it downloads for the next time: ` +
      `RUN --mount=type=cache,target=${install.cache} ${install.command}.`
    );
  const variable = UNUSED.exec(step.miss ?? '')?.[1];
  if (variable !== undefined && !writtenInstruction(view, step).includes(variable))
    return (
      `${why}It does not name ${variable}: unless what it runs reads that, move its ARG or ENV ` +
      'below this instruction.'
    );
  if (step.miss?.startsWith('it was never built here'))
    return (
      'It ran for the first time here, and is cached from now on until what it needs changes. ' +
      'To be faster the first time, let it do less, or split it into stages that run beside ' +
      'each other.'
    );
  if (step.inputs.length > 0)
    return (
      `${why}Have it depend on fewer files, put it above what changes often, or into a stage of ` +
      'its own that runs beside the others.'
    );
  return `${why}Make it smaller, or do it in a stage of its own that runs beside the others.`;
}

/** `COPY . .` above an install: each change of any file has the install run again. */
function copiesBeforeInstalls({ view, took }: Facts): Insight[] {
  const reported = new Set<number>();
  return view.steps.flatMap((step, index): Insight[] => {
    const install = step.state === 'cached' ? undefined : installOf(writtenInstruction(view, step));
    if (!install || step.stage === undefined || took(step) < WORTH_MS) return [];
    const copy = copyAbove(view, index);
    if (!copy || reported.has(copy.index)) return [];
    reported.add(copy.index);
    return [
      {
        kind: 'copy-before-install',
        what:
          `${quoted(copy.step)}${atLine(copy.step)} copies everything before ${quoted(step)}` +
          `${atLine(step)}, so a change of any file makes the install run again. ` +
          `It took ${seconds(took(step))}.`,
        advice: orderAdvice(install),
        saves: step.wouldSave,
        step: index,
        seenIn: 'timeline',
      },
    ];
  });
}

function orderAdvice({ command, files }: Install): string {
  return files
    ? `Copy ${files} first, then run ${command}, and copy the rest after it.`
    : `Move ${command} above the COPY: it needs none of the files.`;
}

/** The nearest step above in the same stage that copies the whole context. */
function copyAbove(
  view: BuildView,
  index: number,
): { readonly index: number; readonly step: StepView } | undefined {
  const { stage } = view.steps[index]!;
  const seen = new Set([index]);
  for (let at: number | undefined = index; at !== undefined; ) {
    at = view.steps[at]!.inputs.find(
      (input) => view.steps[input]?.stage === stage && !seen.has(input),
    );
    if (at === undefined) break;
    seen.add(at);
    const step = view.steps[at]!;
    if (copiesAll(writtenInstruction(view, step))) return { index: at, step };
  }
  return undefined;
}

/** `COPY . .`, also with `--chown=` and the like, but not out of another stage. */
function copiesAll(instruction: string): boolean {
  return (
    /^(?:COPY|ADD)\s+(?:--\S+\s+)*["'[]*\s*\.\/?["',]*\s/i.test(instruction) &&
    !/\s--from=/.test(instruction)
  );
}

function emulatedSteps({ view, took }: Facts): Insight[] {
  const all = view.steps.flatMap((step, index) =>
    step.isEmulated && step.state !== 'cached' && took(step) > 0 ? [{ step, index }] : [],
  );
  const time = all.reduce((sum, { step }) => sum + took(step), 0);
  if (all.length === 0 || time < WORTH_MS) return [];
  const longest = all.reduce((a, b) => (took(b.step) > took(a.step) ? b : a));
  const platforms = [
    ...new Set(all.flatMap(({ step }) => view.stages[step.stage ?? -1]?.platform ?? [])),
  ];
  const of = platforms.length > 0 ? ` for ${platforms.join(' and ')}` : '';
  return [
    {
      kind: 'emulated',
      what:
        `${all.length === 1 ? 'One step' : `${all.length} steps`}${of} ran on an emulated ` +
        `processor, ${seconds(time)} together. The longest is ${quoted(longest.step)}.`,
      advice:
        'Compile on the processor that is there, with FROM --platform=$BUILDPLATFORM and a ' +
        'compiler that targets $TARGETARCH, or build on a machine with that processor.',
      saves: Math.round(time * 0.8),
      step: longest.index,
      seenIn: 'timeline',
    },
  ];
}

function largeContext({ view, took }: Facts): Insight[] {
  return view.steps.flatMap((step, index): Insight[] => {
    if (!/load build context/.test(step.name)) return [];
    const size = step.transfers.reduce((sum, { current }) => sum + current, 0);
    if (size < LARGE_CONTEXT) return [];
    // A directory of this host is read by the steps that copy it, after its own step has ended.
    const time = Math.max(took(step), transferTime(step));
    return [
      {
        kind: 'context',
        what: `The build context has ${bytes(size)}. Reading it took ${seconds(time)}.`,
        advice: 'List what the build does not need in .dockerignore, such as .git or node_modules.',
        saves: time,
        step: index,
        seenIn: 'timeline',
      },
    ];
  });
}

function transferTime({ transfers }: StepView): number {
  return transfers.reduce(
    (longest, { started, ended }) =>
      started === undefined || ended === undefined ? longest : Math.max(longest, ended - started),
    0,
  );
}

function fullMachine({ view, whole }: Facts): Insight[] {
  const waits = view.criticalPath.flatMap((index) => {
    const phases = view.steps[index]?.phases ?? [];
    const time = phases
      .filter(({ kind }) => kind === 'waiting')
      .reduce((sum, { from, to = from }) => sum + to - from, 0);
    return time > 0 ? [{ index, time }] : [];
  });
  const time = waits.reduce((sum, wait) => sum + wait.time, 0);
  if (time < 2 * WORTH_MS || time < whole * 0.1) return [];
  const longest = waits.reduce((a, b) => (b.time > a.time ? b : a));
  return [
    {
      kind: 'full-machine',
      what: `Steps were ready and waited for a free place, ${seconds(time)} on the critical path.`,
      advice: 'Build with more processors, or with fewer builds at a time.',
      saves: time,
      step: longest.index,
      seenIn: 'timeline',
    },
  ];
}

function longFetch({ view, whole }: Facts): Insight[] {
  const fetches = view.criticalPath.flatMap((index) => {
    const step = view.steps[index];
    if (!step || /load build context/.test(step.name)) return [];
    const time = step.phases
      .filter(({ kind }) => kind === 'fetching')
      .reduce((sum, { from, to = from }) => sum + to - from, 0);
    return [{ index, step, time }];
  });
  const [longest] = fetches.sort((a, b) => b.time - a.time);
  if (!longest || longest.time < 2 * WORTH_MS || longest.time < whole * 0.2) return [];
  const size = longest.step.transfers.reduce((sum, { current }) => sum + current, 0);
  return [
    {
      kind: 'fetching',
      what:
        `The build waited ${seconds(longest.time)} for ${quoted(longest.step)}` +
        `${size > 0 ? `, ${bytes(size)}` : ''}.`,
      advice: 'A smaller base is there sooner. The next build on this machine has it already.',
      saves: longest.time,
      step: longest.index,
      seenIn: 'timeline',
    },
  ];
}

function wastedBytes(image: ImageWaste | undefined): Insight[] {
  if (!image || image.wasted < WASTED_BYTES || image.wasted < image.size * 0.02) return [];
  return [
    {
      kind: 'wasted',
      what:
        `${bytes(image.wasted)} of the image, ${share(image.wasted, image.size)}, are in no file ` +
        'that is seen: a later layer removes or replaces them.',
      advice:
        image.largest?.how === 'replaced'
          ? `Most of it is ${image.largest.path.slice(0, 100)}, which a later layer has again: ` +
            'change owner, mode or content in the instruction that makes it, as with COPY --chown.'
          : 'Remove files in the same RUN that makes them, or copy the result from a stage.',
      seenIn: 'image',
    },
  ];
}

function nothingToSay({ view, whole }: Facts): Insight[] {
  const { steps, cached } = view.counts;
  if (steps > 0 && cached === steps)
    return [
      {
        kind: 'cached',
        what: `All ${steps} steps were cached. The build took ${seconds(whole)}.`,
        seenIn: 'timeline',
      },
    ];
  return [
    {
      kind: 'short',
      what: `The build took ${seconds(whole)}, and no step stands out.`,
      seenIn: 'timeline',
    },
  ];
}

/** The text of the instruction of a step, as it is in the Dockerfile, or else its name. */
export function writtenInstruction({ sources }: BuildView, { lines, name }: StepView): string {
  const text = lines && sources[lines.source]?.text;
  if (!lines || text === undefined) return name.replace(/^\[[^\]]*\] /, '');
  return text
    .split('\n')
    .slice(lines.start - 1, lines.end)
    .join('\n')
    .trim();
}

const NAME_LENGTH = 60;

function quoted({ name }: StepView): string {
  const short = name.replace(/^\[[^\]]*\] /, '').replace(/\s+/g, ' ');
  return `“${short.length > NAME_LENGTH ? `${short.slice(0, NAME_LENGTH - 1)}…` : short}”`;
}

function atLine({ lines }: StepView): string {
  return lines ? ` (line ${lines.start})` : '';
}

function oneSentence(text: string): string {
  const [first = ''] = text.split('\n');
  return first.slice(0, 300).replace(/[.\s]+$/, '');
}

function seconds(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const whole = Math.round(ms / 1000);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function share(part: number, whole: number): string {
  return `${Math.min(100, Math.round((part / whole) * 100))} %`;
}
