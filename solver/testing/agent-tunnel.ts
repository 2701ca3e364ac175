import { chmodSync, chownSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import type { ForwardedAgent, SocketAccess } from '../../executor/ssh/forward.ts';
import type { StepSession } from '../step-session.ts';
import type { Handlers, Peer } from './peer.ts';

/**
 * Forwards connections to an ssh agent from the host that runs a step to the host that solves,
 * where the agent is. The types of the calls; see `Methods` in peer.ts.
 */
export type TunnelMethods = {
  /** Opens an agent. Returns its number, or undefined if the caller lent none with this id. */
  readonly agent: {
    readonly ask: { readonly session: number; readonly id: string };
    readonly answer: number | undefined;
  };
  /** One connection to the agent, until either side closes it. The events are the agent's bytes. */
  readonly converse: {
    readonly ask: { readonly agent: number; readonly conversation: number };
    readonly answer: undefined;
    readonly event: Uint8Array;
  };
  readonly say: {
    readonly ask: { readonly conversation: number; readonly bytes: Uint8Array };
    readonly answer: undefined;
  };
  readonly letGo: { readonly ask: { readonly agent: number }; readonly answer: undefined };
};

/** The side where the agents are. */
export function tunnelEnd(sessionOf: (session: number) => StepSession): Handlers<TunnelMethods> {
  const agents = new Map<number, ForwardedAgent>();
  const conversations = new Map<number, Socket>();
  let last = 0;
  return {
    async agent({ session, id }) {
      const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, mode: 0o600 };
      const agent = await sessionOf(session).sshSocket(id, own);
      if (agent) agents.set(++last, agent);
      return agent && last;
    },
    async converse({ agent, conversation }, { signal, emit }) {
      const socket = connect(agents.get(agent)!.socket);
      conversations.set(conversation, socket);
      signal.addEventListener('abort', () => socket.destroy(), { once: true });
      socket.on('data', (bytes) => emit(Uint8Array.from(bytes)));
      await new Promise((resolve) => socket.on('error', () => {}).once('close', resolve));
      conversations.delete(conversation);
    },
    say: async ({ conversation, bytes }) => void conversations.get(conversation)?.write(bytes),
    async letGo({ agent }) {
      await agents.get(agent)?.[Symbol.asyncDispose]();
      agents.delete(agent);
    },
  };
}

let conversations = 0;

/**
 * The side where the step runs: makes a socket at `path` that is connected to the agent with the
 * number `agent` on the other side.
 */
export async function tunnelSocket(
  near: Peer<TunnelMethods>,
  agent: number,
  path: string,
  { uid, gid, mode }: SocketAccess,
): Promise<ForwardedAgent> {
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    clients.add(client);
    const conversation = ++conversations;
    const over = new AbortController();
    client.on(
      'data',
      (bytes) => void near.ask('say', { conversation, bytes: Uint8Array.from(bytes) }),
    );
    client.on('error', () => {}).once('close', () => over.abort());
    const end = () => client.end();
    near
      .ask(
        'converse',
        { agent, conversation },
        { signal: over.signal, onEvent: (bytes) => client.write(bytes) },
      )
      .then(end, end);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  chownSync(path, uid, gid);
  chmodSync(path, mode);
  return {
    socket: path,
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      await new Promise((resolve) => server.close(resolve));
      await near.ask('letGo', { agent });
    },
  };
}
