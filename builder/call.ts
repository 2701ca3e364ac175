import type { KilnError } from '../base/errors.ts';
import { redactData } from '../base/redact.ts';
import { checkBuild, outlineBuild, targetsOf } from '../frontend/call/call.ts';
import {
  checkDocument,
  outlineDocument,
  targetsDocument,
} from '../frontend/call/call-documents.ts';
import { checkText, outlineText, targetsText } from '../frontend/call/texts.ts';
import { requestOver } from '../frontend/gateway.ts';
import { openBridge } from './bridge.ts';
import { withoutLogins } from './build.ts';
import type { BuildContext } from './build-context.ts';
import { openFrontend } from './opened-frontend.ts';

/** A question about a Dockerfile, asked instead of building it. */
export interface CallSpec {
  readonly method: 'check' | 'outline' | 'targets';
  readonly format: 'text' | 'json';
  /** Warnings of a check do not count for the exit code. */
  readonly ignoreStatus: boolean;
  /** How a check names the Dockerfile; as it is called in the context when undefined. */
  readonly shownName?: string | undefined;
}

/**
 * What was asked, on standard output, and the exit code; an error of the Dockerfile comes as
 * `error` after the answer.
 */
export interface CallAnswer {
  readonly text: string;
  readonly exitCode: number;
  readonly error: KilnError | undefined;
}

/**
 * Answers a question about the Dockerfile. Nothing is built, and no log is written. The rest is as
 * for `build`.
 */
export async function answerCall(
  call: CallSpec,
  { engine, progress, ...given }: Omit<BuildContext, 'scope' | 'buildId'>,
): Promise<CallAnswer> {
  using _use = engine.begin();
  const scope = new AsyncDisposableStack();
  await using _closing = engine.closing('what the build opened', scope);
  return await answered(call, { ...given, engine, progress: withoutLogins(progress), scope });
}

async function answered(call: CallSpec, context: BuildContext): Promise<CallAnswer> {
  const { gateway, inputs } = await openFrontend(await openBridge(context));
  const request = requestOver(gateway, inputs);
  // Documents hold the Dockerfile in base64: it is told without the logins in its URLs before.
  const source = redactData(request.dockerfile);
  const done = (document: () => unknown, text: () => string): CallAnswer => ({
    text: call.format === 'json' ? `${JSON.stringify(document(), null, 2)}\n` : text(),
    exitCode: 0,
    error: undefined,
  });
  switch (call.method) {
    case 'check': {
      const report = redactData(await checkBuild(request));
      const answer = done(
        () => checkDocument(report),
        () => checkText(report, (name) => (name === source.name ? (call.shownName ?? name) : name)),
      );
      const exitCode = report.error
        ? report.error.exitCode
        : report.warnings.length > 0 && !call.ignoreStatus
          ? 1
          : 0;
      return { ...answer, exitCode, error: report.error };
    }
    case 'outline': {
      const outline = redactData(
        await outlineBuild(request, (findings) => {
          for (const event of findings.events()) gateway.warn(event);
        }),
      );
      return done(
        () => outlineDocument(outline, source),
        () => outlineText(outline),
      );
    }
    case 'targets': {
      const targets = redactData(targetsOf(source));
      return done(
        () => targetsDocument(targets, source),
        () => targetsText(targets),
      );
    }
  }
}
