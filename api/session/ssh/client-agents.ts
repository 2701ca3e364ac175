import { Code, ConnectError } from '@connectrpc/connect';
import { lendAgents } from '../../../builder/session/lend-agents.ts';
import type { SessionAgents } from '../../../builder/session.ts';
import type { SshAgentSource } from '../../../executor/ssh/agent.ts';
import { MAX_MESSAGE, string } from '../../../executor/ssh/wire.ts';
import type { Store } from '../../../snapshotter/store/root.ts';
import { asBytes, encode, readFields, writeBytes } from '../../../solver/llb/wire.ts';
import { SSH } from '../../proto/ssh.gen.ts';
import type { ClientSession } from '../client-session.ts';

const FORWARD = '/moby.sshforward.v1.SSH/ForwardAgent';
/** In which a call names the agent. */
const AGENT_ID = 'buildkit.ssh.id';

/** The ssh agents that a client lends. Steps reach them through sockets of ours. */
export function clientAgents(
  client: ClientSession,
  store: Store,
  signal: AbortSignal,
): SessionAgents {
  const find = async (id: string) =>
    (await isLent(client, id, signal)) ? agentOf(client, id, signal) : undefined;
  return lendAgents({ find }, store);
}

async function isLent(client: ClientSession, id: string, signal: AbortSignal): Promise<boolean> {
  if (!client.supports(FORWARD)) return false;
  try {
    await client.client.unary(SSH.method.checkAgent, { id }, signal);
    return true;
  } catch (error) {
    // A client says of an agent that it does not have that it is unset.
    if (ConnectError.from(error).code === Code.Unavailable) throw error;
    return false;
  }
}

/** Each conversation is a stream of its own. */
function agentOf(client: ClientSession, id: string, signal: AbortSignal): SshAgentSource {
  return {
    connect() {
      const closed = new AbortController();
      const stream = client.client.stream(
        FORWARD,
        { [AGENT_ID]: id },
        AbortSignal.any([signal, closed.signal]),
      );
      const answers = messagesIn(stream.receive());
      return {
        async ask(request) {
          await stream.send(encode((out) => writeBytes(out, 1, string(request))));
          const { done, value } = await answers.next();
          if (done) throw new Error('the ssh agent of the client is gone');
          return value;
        },
        [Symbol.dispose]: () => closed.abort(),
      };
    },
  };
}

/** The messages of the agent, which the pieces of the stream may cut anywhere. */
async function* messagesIn(
  pieces: AsyncIterable<readonly Buffer[]>,
): AsyncGenerator<Buffer, void, void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const messages of pieces) {
    const data = messages.flatMap((message) =>
      [...readFields(message)].filter(({ number }) => number === 1).map(asBytes),
    );
    rest = Buffer.concat([rest, ...data]);
    while (rest.byteLength >= 4) {
      const length = rest.readUInt32BE(0);
      if (length > MAX_MESSAGE) throw new Error('the ssh agent of the client answers too much');
      if (rest.byteLength < 4 + length) break;
      yield rest.subarray(4, 4 + length);
      rest = rest.subarray(4 + length);
    }
  }
}
