import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { closeAll, makePipe } from '../../executor/pipes.ts';

/**
 * The standard input and output of a process as one byte stream. The process gets real pipes, as
 * with BuildKit. `descriptors` are its ends, and belong to the caller until `release`.
 */
export class StdioStream extends Duplex {
  /** Standard input and output of the process. */
  readonly descriptors: readonly [stdin: number, stdout: number];
  readonly #toProcess: Socket;
  readonly #fromProcess: Socket;
  #isReleased = false;

  constructor() {
    super();
    const [input, output] = [makePipe(), makePipe()];
    this.descriptors = [input.read, output.write];
    this.#toProcess = new Socket({ fd: input.write, readable: false, writable: true });
    this.#fromProcess = new Socket({ fd: output.read, readable: true, writable: false });
    this.#fromProcess.on('data', (data) => {
      if (!this.push(data)) this.#fromProcess.pause();
    });
    this.#fromProcess.once('end', () => this.push(null));
    for (const socket of [this.#toProcess, this.#fromProcess])
      socket.on('error', (error) => this.destroy(error));
  }

  /** Closes our copies of the ends of the process. To be called when the process has ended. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    closeAll(this.descriptors);
  }

  override _read(): void {
    this.#fromProcess.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#toProcess.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.#toProcess.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#toProcess.destroy();
    this.#fromProcess.destroy();
    done(error);
  }
}
