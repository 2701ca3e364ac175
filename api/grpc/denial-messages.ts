/** Why a client denies a source, in its own words. Clients are told them again. */
export class DenialMessages extends Error {
  readonly messages: readonly string[];

  constructor(messages: readonly string[]) {
    super('the client denies the source');
    this.name = 'DenialMessages';
    this.messages = messages;
  }
}
