/**
 * # Somebody who signs
 *
 * The ssh agent that the caller of a build lends it: one that runs already (`socket-agent.ts`), or keys from disk (`key-agent.ts`). It is
 * asked in messages of the agent protocol (draft-ietf-sshm-ssh-agent), without their length. `forward.ts` puts it behind a socket.
 */
export interface SshAgentSource {
  /** A conversation: its requests are answered one after the other. */
  connect(): SshAgentConnection;
}

export interface SshAgentConnection extends Disposable {
  /** The answer to a request; rejects when the agent is gone. */
  ask(request: Buffer): Promise<Buffer>;
}

/** Numbers of messages, sections 3 to 5. */
export const MESSAGE = { failure: 5, listKeys: 11, keys: 12, sign: 13, signature: 14 } as const;

export const FAILURE = Buffer.from([MESSAGE.failure]);
