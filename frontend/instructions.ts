import type { Place, SourceText } from '../base/errors.ts';
import type { SourceRange } from '../solver/llb/graph.ts';

/**
 * # Typed instructions: what the parser answers
 *
 * Text is as written, unexpanded, after line continuation and comments inside it are removed.
 * Expansion is the converter's, since it depends on the stage's environment. `range` covers the
 * instruction's lines including heredoc bodies.
 */
export interface Dockerfile {
  readonly source: SourceText;
  /** `\` or `` ` `` */
  readonly escape: '\\' | '`';
  readonly directives: { readonly syntax?: Directive; readonly escape?: Directive; readonly check?: Directive };
  /** ARG instructions before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  readonly notes: readonly ParserNote[];
}

export interface Directive {
  readonly value: string;
  readonly range: SourceRange;
}

/** Something the parser saw that a check may want to speak about. */
export type ParserNote = { readonly kind: 'empty-continuation'; readonly range: SourceRange };

export interface Stage {
  readonly from: FromInstruction;
  readonly instructions: readonly StageInstruction[];
  /**
   * What a comment line `# <name> …` right above FROM says of the stage: its description in
   * `--call=targets`.
   */
  readonly docComment: string;
}

export type Instruction = FromInstruction | StageInstruction;

export type StageInstruction =
  | AddInstruction
  | ArgInstruction
  | CmdInstruction
  | CopyInstruction
  | EntrypointInstruction
  | EnvInstruction
  | ExposeInstruction
  | HealthcheckInstruction
  | LabelInstruction
  | MaintainerInstruction
  | OnbuildInstruction
  | RunInstruction
  | ShellInstruction
  | StopsignalInstruction
  | UserInstruction
  | VolumeInstruction
  | WorkdirInstruction;

interface Base {
  readonly range: SourceRange;
  /** The keyword as written, for casing checks. */
  readonly keyword: string;
  /**
   * The instruction as Docker keeps it in names and history: keyword upper-cased is the printer's
   * job; inner line breaks are joined.
   */
  readonly original: string;
  /** The comment lines right above, without `#`, joined by line breaks. */
  readonly docComment: string;
}

export interface FromInstruction extends Base {
  readonly kind: 'from';
  readonly image: string;
  readonly platform: string | undefined;
  /** Lower-cased name as written after AS. */
  readonly name: string | undefined;
  readonly nameAsWritten: string | undefined;
  /** The AS keyword as written. */
  readonly asKeyword: string | undefined;
}

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** True for the legacy form `ENV key value`. */
  readonly legacy: boolean;
}

export interface ArgInstruction extends Base {
  readonly kind: 'arg';
  readonly args: readonly {
    readonly key: string;
    readonly value: string | undefined /** From `# <key> …` above. */;
    readonly docComment: string;
  }[];
}
export interface EnvInstruction extends Base {
  readonly kind: 'env';
  readonly entries: readonly KeyValue[];
}
export interface LabelInstruction extends Base {
  readonly kind: 'label';
  readonly entries: readonly KeyValue[];
}

/** A command line: `exec` is JSON form, `shell` is to be run by the stage's SHELL. */
export type CommandLine =
  | { readonly form: 'exec'; readonly args: readonly string[] }
  | { readonly form: 'shell'; readonly text: string };

export interface Heredoc {
  readonly name: string;
  /** The body with tabs already removed for `<<-`; ends with a line break unless empty. */
  readonly content: string;
  /**
   * The body as written: what a RUN with more than the heredoc hands on to its shell, and what
   * ONBUILD stores.
   */
  readonly raw: string;
  /** False for a quoted delimiter. */
  readonly expand: boolean;
  readonly chomp: boolean;
  readonly fd: number;
}

export interface RunInstruction extends Base {
  readonly kind: 'run';
  readonly command: CommandLine;
  readonly heredocs: readonly Heredoc[];
  readonly mounts: readonly MountFlag[];
  readonly network: string | undefined;
  readonly security: string | undefined;
  readonly devices: readonly string[];
}

/**
 * One `--mount`, its values unexpanded; `raw` is the text after `--mount=`. The converter expands,
 * validates and gives defaults.
 */
export interface MountFlag {
  readonly raw: string;
  readonly fields: readonly { readonly key: string; readonly value: string | undefined }[];
  /** Where the flag stands, to the column. */
  readonly place?: Place | undefined;
}

export interface CopyFlags {
  readonly from?: string;
  readonly chown?: string;
  readonly chmod?: string;
  readonly link?: boolean;
  readonly parents?: boolean;
  readonly exclude: readonly string[];
  readonly keepGitDir?: boolean;
  readonly checksum?: string;
  readonly unpack?: boolean;
}

interface CopyLike extends Base {
  readonly flags: CopyFlags;
  /** Sources as written, heredocs left out. */
  readonly sources: readonly string[];
  /** Heredoc sources, in order. */
  readonly heredocs: readonly Heredoc[];
  readonly dest: string;
}
export interface CopyInstruction extends CopyLike {
  readonly kind: 'copy';
}
export interface AddInstruction extends CopyLike {
  readonly kind: 'add';
}

export interface CmdInstruction extends Base {
  readonly kind: 'cmd';
  readonly command: CommandLine;
}
export interface EntrypointInstruction extends Base {
  readonly kind: 'entrypoint';
  readonly command: CommandLine;
}
export interface ShellInstruction extends Base {
  readonly kind: 'shell';
  readonly shell: readonly string[];
}
export interface HealthcheckInstruction extends Base {
  readonly kind: 'healthcheck';
  /** Undefined for NONE. Durations in nanoseconds. */
  readonly test: CommandLine | undefined;
  readonly interval?: number;
  readonly timeout?: number;
  readonly startPeriod?: number;
  readonly startInterval?: number;
  readonly retries?: number;
}
export interface ExposeInstruction extends Base {
  readonly kind: 'expose';
  readonly ports: readonly string[];
}
export interface VolumeInstruction extends Base {
  readonly kind: 'volume';
  readonly paths: readonly string[];
}
export interface UserInstruction extends Base {
  readonly kind: 'user';
  readonly user: string;
}
export interface WorkdirInstruction extends Base {
  readonly kind: 'workdir';
  readonly path: string;
}
export interface StopsignalInstruction extends Base {
  readonly kind: 'stopsignal';
  readonly signal: string;
}
export interface MaintainerInstruction extends Base {
  readonly kind: 'maintainer';
  readonly maintainer: string;
}
/**
 * `expression` is the text that the child build parses; heredoc bodies are appended to it, as
 * Docker stores them.
 */
export interface OnbuildInstruction extends Base {
  readonly kind: 'onbuild';
  readonly expression: string;
}
