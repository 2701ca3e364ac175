import type { Session } from '../../builder/session.ts';
import type { SshAgentSource } from '../../executor/ssh/agent.ts';
import type { RegistryOptions } from '../../registry/client.ts';

/**
 * # What a caller lends to a build on a server elsewhere
 *
 * The twin of `Session`: the same things, as a client of BuildKit lends them. The server asks for
 * them one by one, and gets nothing else.
 */
export interface Loans
  extends Pick<Session, 'placeOf' | 'file' | 'input' | 'secret' | 'shownContext'> {
  /** The ssh agent with this id. Undefined when the caller lends none. */
  agent(id: string): Promise<SshAgentSource | undefined>;
  /** How registries are asked for tokens, with the logins of the caller. */
  readonly registry: () => Promise<RegistryOptions>;
  /** Writes the next bytes of the output that the request calls `name`. */
  readonly output: NonNullable<Session['output']>;
  /**
   * A name of the caller and its context, by which a server finds the files that it has of them
   * already.
   */
  readonly sharedKey: string;
}
