/**
 * # An ssh agent
 *
 * The ssh agent that the caller of a build lends it: one that already runs (`socket-agent.ts`), or
 * keys from disk (`key-agent.ts`). Requests are messages of the agent protocol
 * (draft-ietf-sshm-ssh-agent) without the leading length. `forward.ts` puts an agent behind a
 * socket.
 */
export interface SshAgentSource {
  /** Opens a conversation. Its requests are answered one after the other. */
  connect(): SshAgentConnection;
  /**
   * Carries a conversation that is not of the agent protocol: BuildKit's clients may lend any
   * socket. Takes the bytes of a step, and returns those of the other side. Undefined: only agents
   * are lent.
   */
  readonly pass?: (bytes: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
  /** Every conversation is carried by `pass`, as it is: what listens may be no agent. */
  readonly isRaw?: boolean;
}

export interface SshAgentConnection extends Disposable {
  /** The answer to a request. Rejects when the agent is gone. */
  ask(request: Buffer): Promise<Buffer>;
}

/** Message numbers of the agent protocol, sections 3 to 5. */
export const MESSAGE = { failure: 5, listKeys: 11, keys: 12, sign: 13, signature: 14 } as const;

export const FAILURE = Buffer.from([MESSAGE.failure]);
