import { digestOf, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { hasWildcard } from '../../base/gomatch.ts';
import { redactUrl } from '../../base/redact.ts';
import {
  type FileChange,
  fileChanges,
  httpSource,
  merge,
  type Note,
} from '../../solver/llb/builder.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { FileActionCopy } from '../../solver/llb/file-op.ts';
import type { AddInstruction, CopyInstruction, Heredoc } from '../instructions.ts';
import { chmodOf } from './chmod.ts';
import { describe } from './conversion.ts';
import { type GitRef, gitRefOf } from './gitref.ts';
import { warnIgnored } from './ignored.ts';
import { commit } from './image.ts';
import { chownOf } from './owner.ts';
import { base, destination, join, sourcePath } from './paths.ts';
import { gitTree } from './remote.ts';
import type { Step } from './step.ts';
import { instructionText, nameOfStep } from './step-names.ts';
import { warnChmod, warnExclude, warnLinkedTmp } from './surprises.ts';
import { graphPath } from './windows-paths.ts';

/** COPY and ADD with everything expanded. */
interface CopyPlan {
  readonly isAdd: boolean;
  readonly instruction: CopyInstruction | AddInstruction;
  readonly sources: readonly string[];
  readonly dest: string;
  readonly chown: string;
  readonly chmod: string;
  readonly checksum: string;
  /** The common part of all actions of the op. */
  readonly common: Pick<
    FileActionCopy,
    'dest' | 'mode' | 'modeStr' | 'timestamp' | 'excludePatterns'
  >;
  /** The tree of the sources that are not URLs. */
  readonly from: DraftEdge | undefined;
}

/**
 * One file op, with one action per source. With `--link` the op is on an empty tree, which is then
 * merged with that of the stage.
 */
export function lowerCopy(step: Step, instruction: CopyInstruction | AddInstruction): void {
  const { stage, conversion } = step;
  const plan = planCopy(step, instruction);
  const { env } = stage.state;
  // The login in a URL is only for its server: it must not reach progress, logs and records.
  const text = redactUrl(instructionText(instruction.original, conversion.words, env, 'plain'));
  const name = nameOfStep(step, text);
  const steps = [
    ...plan.sources.map((source) => lowerSource(step, plan, source, name)),
    ...instruction.heredocs.map((h) => lowerHeredoc(step, plan, h)),
  ];
  const owned =
    plan.chown === '' ? steps : steps.map((one) => ({ ...one, owner: chownOf(plan.chown) }));
  const note: Note = { name, ignoreCache: stage.node.ignoreCache, locations: [instruction.range] };
  const tree =
    instruction.flags.link && plan.chmod === ''
      ? linked(step, owned, note, text)
      : fileChanges(stage.state.tree, owned, note);
  stage.state = { ...stage.state, tree };
  commit(stage.image, historyText(plan), true, conversion.request.epoch);
  notePaths(step, plan);
}

function planCopy(step: Step, instruction: CopyInstruction | AddInstruction): CopyPlan {
  const { flags } = instruction;
  const expand = (text: string | undefined): string => (text ? step.expand(text) : '');
  const chown = expand(flags.chown);
  const chmod = expand(flags.chmod);
  const checksum = expand(flags.checksum);
  const sources = instruction.sources.map((source) => step.expand(source));
  const dest = step.expand(instruction.dest);
  const common = {
    dest: destination(step.stage.state.dir, graphPath(dest, step.stage.platform)),
    ...chmodOf(chmod),
    // Sources keep their times, even when SOURCE_DATE_EPOCH is set, because the exporter clamps
    // them.
    timestamp: -1,
    // As in Docker 28, these may not hold variables.
    ...(flags.exclude.length > 0 && { excludePatterns: flags.exclude }),
  };
  const isAdd = instruction.kind === 'add';
  checkChecksum(checksum, isAdd, sources);
  warnChmod(step, common.modeStr === undefined ? common.mode : -1, sources, dest);
  warnExclude(step, instruction);
  warnLinkedTmp(step, instruction, common.dest);
  return {
    isAdd,
    instruction,
    sources,
    dest,
    chown,
    chmod,
    checksum,
    common,
    from: fromTree(step, flags.from),
  };
}

function fromTree(
  { stage, command, conversion }: Step,
  from: string | undefined,
): DraftEdge | undefined {
  const [source] = command.sources;
  if (!source) return conversion.context;
  if (source.life.kind !== 'lowered') {
    throw new KilnError(
      'KILN_STAGE_ORDER',
      `stage ${from} comes after stage ${stage.node.steps.label || '0'}, which copies from it`,
      {
        hint: 'move the stage that is copied from above the one that copies',
      },
    );
  }
  return source.life.work.state.tree;
}

function checkChecksum(checksum: string, isAdd: boolean, sources: readonly string[]): void {
  if (checksum === '') return;
  const [source = ''] = sources;
  const bad = (why: string, hint: string): KilnError =>
    new KilnError('KILN_ADD_CHECKSUM', `--checksum ${why}`, { hint });
  if (!isAdd) throw bad('goes with ADD, not with COPY', 'use ADD, or leave out --checksum');
  if (sources.length !== 1) throw bad('needs exactly one source', 'write one ADD for each source');
  if (!isHttp(source) && !gitRefOf(source))
    throw bad(
      'needs a source that is fetched: a URL or a git repository',
      'leave out --checksum: local files are compared anyway',
    );
}

function isHttp(source: string): boolean {
  return /^https?:\/\//.test(source) && !gitRefOf(source);
}

function lowerSource(step: Step, plan: CopyPlan, source: string, name: string): FileChange {
  const git = gitRefOf(source);
  if (git && !git.looksLocal) return lowerGit(plan, git, name);
  if (isHttp(source)) return lowerHttp(plan, source, name);
  return lowerPath(step, plan, source);
}

const NOTHING_SPECIAL = {
  followSymlink: false,
  dirCopyContents: false,
  attemptUnpackDockerCompatibility: false,
  createDestPath: true,
  allowWildcard: false,
  allowEmptyWildcard: false,
} as const;

function lowerGit(plan: CopyPlan, git: GitRef, name: string): FileChange {
  if (!plan.isAdd)
    throw new KilnError('KILN_COPY_SOURCE', 'COPY cannot fetch a git repository', {
      hint: 'use ADD',
    });
  const { keepGitDir } = plan.instruction.flags;
  if (keepGitDir !== undefined && git.keepGitDir !== undefined && keepGitDir !== git.keepGitDir) {
    throw new KilnError(
      'KILN_ADD_GIT',
      '--keep-git-dir and the URL say different things about the .git directory',
    );
  }
  if (plan.checksum !== '' && git.checksum && plan.checksum !== git.checksum) {
    throw new KilnError(
      'KILN_ADD_CHECKSUM',
      `--checksum says ${plan.checksum}, and the URL says ${git.checksum}`,
    );
  }
  const checksum = git.checksum || plan.checksum;
  const from = gitTree({ ...git, checksum, keepGitDir: git.keepGitDir ?? keepGitDir }, name);
  return { kind: 'copy', from, copy: { src: '/', ...NOTHING_SPECIAL, ...plan.common } };
}

function lowerHttp(plan: CopyPlan, source: string, name: string): FileChange {
  if (!plan.isAdd)
    throw new KilnError('KILN_COPY_SOURCE', 'COPY cannot fetch a URL', { hint: 'use ADD' });
  if (plan.checksum !== '' && !isDigest(plan.checksum)) {
    throw new KilnError('KILN_ADD_CHECKSUM', `--checksum ${plan.checksum} is not a digest`, {
      hint: 'write sha256: and 64 hexadecimal digits',
    });
  }
  const filename = urlFilename(source);
  const from = httpSource(source, {
    filename,
    checksum: plan.checksum || undefined,
    note: { name, command: '' },
  });
  const unpack = plan.instruction.flags.unpack ?? false;
  return {
    kind: 'copy',
    from,
    copy: {
      src: `/${filename}`,
      ...NOTHING_SPECIAL,
      attemptUnpackDockerCompatibility: unpack,
      ...plan.common,
    },
  };
}

/** The last element of the URL's path. */
function urlFilename(source: string): string {
  const path = /^https?:\/\/[^/?#]*([^?#]*)/.exec(source)?.[1] ?? '';
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return '__unnamed__';
  }
  const name = base(decoded);
  return name === '.' || name === '/' ? '__unnamed__' : name;
}

function lowerPath(step: Step, plan: CopyPlan, source: string): FileChange {
  if (step.command.sources.length === 0) warnIgnored(step, plan.isAdd, source);
  const path = graphPath(source, step.stage.platform);
  const { src, ...patterns } = plan.instruction.flags.parents ? withParents(path) : { src: path };
  const copy: FileActionCopy = {
    src: sourcePath(src),
    followSymlink: true,
    dirCopyContents: true,
    attemptUnpackDockerCompatibility: plan.instruction.flags.unpack ?? plan.isAdd,
    createDestPath: true,
    allowWildcard: true,
    allowEmptyWildcard: true,
    ...patterns,
    ...plan.common,
  };
  return { kind: 'copy', from: plan.from, copy };
}

/**
 * `--parents`: the source is a pattern below the context's root, or below the part before `/./`.
 */
function withParents(source: string): {
  src: string;
  includePatterns: readonly string[];
  requiredPaths?: readonly string[];
} {
  const pivot = source.indexOf('/./');
  const src = pivot < 0 ? '/' : source.slice(0, pivot);
  const pattern = sourcePath(pivot < 0 ? source : source.slice(pivot + 3));
  const required = !hasWildcard(src) && !hasWildcard(pattern);
  return {
    src,
    includePatterns: [pattern.slice(1)],
    ...(required && { requiredPaths: [join('/', src, pattern)] }),
  };
}

function lowerHeredoc(step: Step, plan: CopyPlan, heredoc: Heredoc): FileChange {
  const text = heredoc.expand ? step.expand(heredoc.content, 'body') : heredoc.content;
  describe(step.conversion, Buffer.byteLength(text));
  const path = join('/', heredoc.name);
  const mkfile = { path, mode: 0o644, data: Buffer.from(text), timestamp: -1 };
  const from = fileChanges(undefined, [{ kind: 'mkfile', mkfile }], {
    name: '[internal] preparing inline document',
  });
  return { kind: 'copy', from, copy: { src: path, ...NOTHING_SPECIAL, ...plan.common } };
}

/** The copy as a layer of its own that does not depend on the layers below. */
function linked(
  step: Step,
  steps: readonly FileChange[],
  note: Note,
  text: string,
): DraftEdge | undefined {
  const { stage } = step;
  // The user sees both vertices as one step.
  const again = (what: string): string => {
    stage.node.steps.shown--;
    return nameOfStep(step, what);
  };
  const group = { id: groupId(step), name: again(text) };
  const layer = fileChanges(undefined, steps, { ...note, progressGroup: { ...group, weak: true } });
  return merge([stage.state.tree, layer], {
    ...note,
    name: again(`LINK ${text}`),
    progressGroup: { ...group, weak: false },
  });
}

function groupId({ stage, conversion, command }: Step): string {
  const parts = [
    conversion.target.os,
    conversion.target.architecture,
    conversion.target.variant,
    ...(conversion.target.osVersion ? [conversion.target.osVersion] : []),
    stage.node.steps.label,
    stage.node.steps.shown,
    command.instruction.original,
  ];
  return digestOf(JSON.stringify(parts)).slice(7, 32);
}

function historyText({ isAdd, instruction, chown, chmod, sources, dest }: CopyPlan): string {
  const words = [
    isAdd ? 'ADD' : 'COPY',
    instruction.flags.parents ? '--parents' : '',
    chown && `--chown=${chown}`,
    chmod && `--chmod=${chmod}`,
    ...sources,
    ...instruction.heredocs.map((heredoc) => `<<${heredoc.name}`),
    dest,
    '# buildkit',
  ];
  return words.filter((word, i) => word !== '' || i >= 4).join(' ');
}

/** Records the paths that are read from the context, or from the stage that is copied from. */
function notePaths(step: Step, { isAdd, sources }: CopyPlan): void {
  const { command, conversion } = step;
  const [stage] = command.sources;
  const paths = stage?.life.kind === 'lowered' ? stage.life.work.paths : conversion.contextPaths;
  for (const source of sources)
    if (!isAdd || !/^https?:\/\//.test(source))
      paths.add(join('/', graphPath(source, step.stage.platform)));
}
