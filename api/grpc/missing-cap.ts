/** The cause of an error for a frontend that lacks a capability. Clients are told which one. */
export class MissingCap extends Error {
  readonly cap: string;

  constructor(cap: string) {
    super(`the frontend does not have the capability ${cap}`);
    this.name = 'MissingCap';
    this.cap = cap;
  }
}

/** The cause of an error for a question (subrequest) that the frontend does not answer. */
export class MissingSubrequest extends Error {
  readonly request: string;

  constructor(request: string) {
    super(`the frontend does not answer ${request}`);
    this.name = 'MissingSubrequest';
    this.request = request;
  }
}
