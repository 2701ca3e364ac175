import { Code, ConnectError } from '@connectrpc/connect';
import { lendAgents } from '../../../builder/session/lend-agents.ts';
import type { SessionAgents } from '../../../builder/session.ts';
import type { SshAgentSource } from '../../../executor/ssh/agent.ts';
import { string } from '../../../executor/ssh/wire.ts';
import type { Store } from '../../../snapshotter/store/root.ts';
import { encode, writeBytes } from '../../../solver/llb/wire.ts';
import { SSH } from '../../proto/ssh.gen.ts';
import type { ClientSession } from '../client-session.ts';
import { agentMessages, dataOf } from './agent-messages.ts';

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
export function agentOf(
  { client }: Pick<ClientSession, 'client'>,
  id: string,
  signal: AbortSignal,
): SshAgentSource {
  const open = (closed: AbortSignal) =>
    client.stream(FORWARD, { [AGENT_ID]: id }, AbortSignal.any([signal, closed]));
  return {
    connect() {
      const closed = new AbortController();
      const stream = open(closed.signal);
      const answers = agentMessages(stream.receive());
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
    async *pass(bytes) {
      const closed = new AbortController();
      const stream = open(closed.signal);
      const send = async () => {
        for await (const data of bytes)
          await stream.send(encode((out) => writeBytes(out, 1, data)));
        stream.end();
      };
      send().catch(() => closed.abort());
      try {
        for await (const messages of stream.receive()) yield* messages.flatMap(dataOf);
      } finally {
        closed.abort();
      }
    },
  };
}
