import type { Status } from '../proto/rpc-status.gen.ts';

/** The error with which a client ends its build. It is what the client is told again. */
export class ReturnedError extends Error {
  readonly status: Status;

  constructor(status: Status) {
    super(status.message);
    this.name = 'ReturnedError';
    this.status = status;
  }
}
