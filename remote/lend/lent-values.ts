import { Code, ConnectError } from '@connectrpc/connect';
import { type InnerMethods, pathOf, unaryAnswer } from '../../api/grpc/inner-server.ts';
import { Health, HealthCheckResponse_ServingStatus } from '../../api/proto/health.gen.ts';
import { Secrets } from '../../api/proto/secrets.gen.ts';
import { SSH } from '../../api/proto/ssh.gen.ts';
import { agentMessages, dataOf } from '../../api/session/ssh/agent-messages.ts';
import { string } from '../../executor/ssh/wire.ts';
import { encode, writeBytes } from '../../solver/llb/wire.ts';
import type { Loans } from './loans.ts';

/** In which a call names the agent. */
const AGENT_ID = 'buildkit.ssh.id';
const DEFAULT_AGENT = 'default';

/** Answers for secrets and ssh agents, and for the question whether this side is still there. */
export function lentValues(loans: Pick<Loans, 'secret' | 'agent'>): InnerMethods {
  const agent = async (id: string) => {
    const found = await loans.agent(id || DEFAULT_AGENT);
    if (found) return found;
    throw new ConnectError(`unset ssh forward key ${id}`, Code.Unknown);
  };
  return new Map([
    unaryAnswer(Health.method.check, async () => ({
      status: HealthCheckResponse_ServingStatus.SERVING,
    })),
    unaryAnswer(Secrets.method.getSecret, async ({ id }) => {
      const data = await loans.secret(id);
      if (data) return { data };
      throw new ConnectError(`secret ${id} not found`, Code.NotFound);
    }),
    unaryAnswer(SSH.method.checkAgent, async ({ id }) => {
      await agent(id);
      return {};
    }),
    [
      pathOf(SSH.method.forwardAgent),
      async ({ stream, metadata }) => {
        const source = await agent(metadata(AGENT_ID)[0] ?? '');
        if (source.isRaw && source.pass) {
          for await (const piece of source.pass(bytesOf(stream.receive())))
            await stream.send(encode((out) => writeBytes(out, 1, piece)));
          return;
        }
        using connection = source.connect();
        for await (const request of agentMessages(stream.receive())) {
          const answer = await connection.ask(request);
          await stream.send(encode((out) => writeBytes(out, 1, string(answer))));
        }
      },
    ],
  ]);
}

async function* bytesOf(
  pieces: AsyncIterable<readonly Buffer[]>,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const messages of pieces) yield* messages.flatMap(dataOf);
}
