import { KilnError, type SourceText } from '../../base/errors.ts';
import type { Warning } from '../check/warning.ts';
import { Findings } from '../convert/checks.ts';
import { warningsBefore } from '../convert/checks-before.ts';
import { checkStages, outlineDockerfile } from '../convert/convert.ts';
import type { Outline } from '../convert/outline.ts';
import type { FrontendRequest } from '../frontend.ts';
import { parseDockerfile } from '../parse.ts';

/**
 * # Questions about a Dockerfile
 *
 * What `--call` asks instead of building: is anything wrong with it (`check`), what can be given to
 * a target (`outline`), which targets are there (`targets`). Images that are named are looked up,
 * and nothing is run. `call-documents.ts` and `texts.ts` write the answers as JSON and as text.
 */
export interface CheckReport {
  readonly source: SourceText;
  /** In BuildKit's order, without the rules that the file skips. */
  readonly warnings: readonly Warning[];
  /**
   * The error that would fail the build: the first mistake, or the findings themselves where the
   * file asks for that.
   */
  readonly error: KilnError | undefined;
}

/**
 * Checks what the target needs, or all stages when no target is named. Throws errors that are not
 * faults of the Dockerfile, such as a cancelled build.
 */
export async function checkBuild(request: FrontendRequest): Promise<CheckReport> {
  const { dockerfile: source } = request;
  let findings: Findings | undefined;
  try {
    const dockerfile = parseDockerfile(source);
    findings = new Findings(request, dockerfile);
    await checkStages(request, dockerfile, findings);
    return { source, warnings: findings.warnings(), error: findings.violation() };
  } catch (error) {
    if (!(error instanceof KilnError) || request.signal.aborted) throw error;
    return { source, warnings: findings?.warnings() ?? warningsBefore(error, request), error };
  }
}

/** `tell` gets the findings, even when the answer is an error. */
export async function outlineBuild(
  request: FrontendRequest,
  tell: (findings: Findings) => void,
): Promise<Outline> {
  const dockerfile = parseDockerfile(request.dockerfile);
  const findings = new Findings(request, dockerfile);
  try {
    return await outlineDockerfile(request, dockerfile, findings);
  } finally {
    tell(findings);
  }
}

export interface Target {
  /** In lower case. Undefined for a stage without a name. */
  readonly name: string | undefined;
  readonly isDefault: boolean;
  readonly description: string;
  /** As written, not expanded. */
  readonly base: string;
  readonly platform: string | undefined;
  readonly line: number;
  readonly endLine: number;
}

/** All stages of the text, in order. */
export function targetsOf(source: SourceText): Target[] {
  const { stages } = parseDockerfile(source);
  return stages.map(({ from, docComment }, index) => ({
    name: from.name,
    isDefault: index === stages.length - 1,
    description: docComment,
    base: from.image,
    platform: from.platform,
    line: from.range.start.line,
    endLine: from.range.end.line,
  }));
}
