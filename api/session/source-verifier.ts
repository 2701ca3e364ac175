import { Code, ConnectError } from '@connectrpc/connect';
import { KilnError } from '../../base/errors.ts';
import type { SourceVerifier } from '../../builder/source-verifier.ts';
import { metaMessage, platformIn, sourceIn, wantedMeta } from '../gateway/source-meta-messages.ts';
import { DenialMessages } from '../grpc/denial-messages.ts';
import { type CheckPolicyResponse, PolicyVerifier } from '../proto/policysession.gen.ts';
import { PolicyAction } from '../proto/sourcepolicy.gen.ts';
import { clientError } from './client-error.ts';
import type { ClientSession } from './client-session.ts';

/** A client tells at most so many reasons. */
const MAX_MESSAGES = 100;

/** Has a client decide about the sources of its build, one after the other. */
export function clientVerifier({ client }: ClientSession): SourceVerifier {
  return async ({ source, platform, meta }, signal) => {
    let answer: CheckPolicyResponse;
    try {
      const question = {
        source: metaMessage(source, meta),
        ...(platform && {
          platform: { ...platform, osFeatures: [...(platform.osFeatures ?? [])] },
        }),
      };
      answer = await client.unary(PolicyVerifier.method.checkPolicy, question, signal);
    } catch (error) {
      throw refusal(error);
    }
    switch (answer.result.case) {
      case 'request': {
        const request = answer.result.value;
        if (!request.source) throw malformed('the policy request names no source');
        return {
          kind: 'ask',
          source: sourceIn(request.source),
          platform: platformIn(request.platform),
          wanted: wantedMeta(request),
        };
      }
      case 'decision': {
        const { action, update, denyMessages } = answer.result.value;
        if (action === PolicyAction.ALLOW) return { kind: 'allow' };
        if (action === PolicyAction.CONVERT) {
          if (!update) throw malformed('convert action requires updated source');
          return { kind: 'convert', source: sourceIn(update) };
        }
        const messages = denyMessages.slice(0, MAX_MESSAGES).map(({ message }) => message);
        return { kind: 'deny', messages, cause: new DenialMessages(messages) };
      }
      default:
        throw malformed('no decision in policy response');
    }
  };
}

/** An error of the client's own is how it denies; that of its connection is not. */
function refusal(error: unknown): unknown {
  if (!(error instanceof ConnectError)) return error;
  const isConnection = error.code === Code.Unavailable || error.code === Code.Canceled;
  if (isConnection) return clientError(error);
  return new KilnError('KILN_SOURCE_DENIED', error.rawMessage, { cause: error });
}

function malformed(message: string): KilnError {
  return new KilnError('KILN_POLICY_INVALID', message);
}
