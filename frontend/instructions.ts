import type { Place, SourceText } from '../base/errors.ts';
import type { SourceRange } from '../solver/llb/graph.ts';

/**
 * # Typed instructions: the result of the parser
 *
 * Text is as written and not expanded; line continuations and comments inside it are removed. The
 * converter expands it, because that depends on the stage's environment. `range` covers the
 * instruction's lines including heredoc bodies.
 */
export interface Dockerfile {
  readonly source: SourceText;
  /** `\` or `` ` `` */
  readonly escape: '\\' | '`';
  readonly directives: {
    readonly syntax?: Directive;
    readonly escape?: Directive;
    readonly check?: Directive;
  };
  /** ARG instructions before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  readonly notes: readonly ParserNote[];
}

export interface Directive {
  readonly value: string;
  readonly range: SourceRange;
}

/** Something that the parser noticed and that a check may report. */
export type ParserNote = { readonly kind: 'empty-continuation'; readonly range: SourceRange };

export interface Stage {
  readonly from: FromInstruction;
  readonly instructions: readonly StageInstruction[];
  /**
   * The comment line `# <name> …` right above FROM, without the name. It describes the stage in
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
  /** The keyword as written, for checks of upper and lower case. */
  readonly keyword: string;
  /**
   * The instruction as Docker keeps it in names and history, with inner line breaks joined. The
   * printer puts the keyword in upper case.
   */
  readonly original: string;
  /** The comment lines right above, without `#`, joined by line breaks. */
  readonly docComment: string;
}

export interface FromInstruction extends Base {
  readonly kind: 'from';
  readonly image: string;
  readonly platform: string | undefined;
  /** The name after AS, in lower case. */
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

/** A command line: `exec` is the JSON form, `shell` is run by the stage's SHELL. */
export type CommandLine =
  | { readonly form: 'exec'; readonly args: readonly string[] }
  | { readonly form: 'shell'; readonly text: string };

export interface Heredoc {
  readonly name: string;
  /**
   * The body, with tabs already removed for `<<-`. It ends with a line break unless it is empty.
   */
  readonly content: string;
  /**
   * The body as written: a RUN with more than the heredoc passes it to its shell, and ONBUILD
   * stores it.
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
 * One `--mount` with unexpanded values. `raw` is the text after `--mount=`. The keys of its fields
 * are in lower case. The converter expands and validates values and adds defaults.
 */
export interface MountFlag {
  readonly raw: string;
  readonly fields: readonly { readonly key: string; readonly value: string | undefined }[];
  /** The position of the flag, including the column. */
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
  /** Sources as written, without heredocs. */
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
  /** Undefined for NONE. Durations are in nanoseconds. */
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
 * `expression` is the text that the child build parses. Heredoc bodies are appended to it, as
 * Docker stores them.
 */
export interface OnbuildInstruction extends Base {
  readonly kind: 'onbuild';
  readonly expression: string;
}
