/** The cause of an error for a frontend that lacks a capability. Clients are told which one. */
export class MissingCap extends Error {
  readonly cap: string;

  constructor(cap: string) {
    super(`the frontend does not have the capability ${cap}`);
    this.name = 'MissingCap';
    this.cap = cap;
  }
}
