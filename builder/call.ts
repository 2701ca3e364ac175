import { redactData, redactedData } from '../base/redact.ts';
import { checkBuild, outlineBuild, targetsOf } from '../frontend/call/call.ts';
import {
  checkDocument,
  outlineDocument,
  targetsDocument,
} from '../frontend/call/call-documents.ts';
import { questionsDocument, questionsText } from '../frontend/call/questions.ts';
import { checkText, outlineText, targetsText } from '../frontend/call/texts.ts';
import { dockerfileFrontend } from '../frontend/dockerfile-frontend.ts';
import { requestOver } from '../frontend/gateway.ts';
import { convertedDocument } from '../solver/llb/converted-document.ts';
import { openBridge } from './bridge.ts';
import { withoutLogins } from './build.ts';
import type { BuildContext } from './build-context.ts';
import type { CallAnswer, CallSpec } from './call-spec.ts';
import type { ImageFrontend } from './image-frontend.ts';
import { type OpenedFrontend, openFrontend } from './opened-frontend.ts';

/**
 * Answers a question about the Dockerfile. Builds nothing and writes no log. The arguments and the
 * errors are those of `build`.
 */
export async function answerCall(
  call: CallSpec,
  { engine, progress, ...given }: Omit<BuildContext, 'scope' | 'buildId'>,
): Promise<CallAnswer> {
  using _use = engine.begin();
  const scope = new AsyncDisposableStack();
  await using _closing = engine.closing('what the build opened', scope);
  const context = { ...given, engine, progress: withoutLogins(progress), scope };
  return await answerCallAbout(await openFrontend(await openBridge(context)), call);
}

/** The same about a Dockerfile that is loaded. */
export async function answerCallAbout(
  opened: OpenedFrontend | ImageFrontend,
  call: CallSpec,
): Promise<CallAnswer> {
  if (opened.kind === 'image')
    return await (await import('./image-call.ts')).answerImageCall(opened, call);
  const { gateway, inputs } = opened;
  const request = requestOver(gateway, inputs);
  // Logins in URLs are removed before the Dockerfile is put into documents as base64.
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
      const document = () => checkDocument(report);
      return { ...answer, exitCode, error: report.error, document };
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
    case 'convertllb': {
      const { targets } = await dockerfileFrontend.solve(gateway, inputs);
      const graph = redactData(convertedDocument(targets[0]?.edge));
      const text = `${JSON.stringify(graph, redactedData, 2)}\n`;
      return { text, exitCode: 0, error: undefined };
    }
    case 'subrequests.describe':
      return done(questionsDocument, questionsText);
  }
}
