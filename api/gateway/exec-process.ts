import { constants } from 'node:os';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { CancelledError, KilnError } from '../../base/errors.ts';
import type { ContainerCommand, ContainerProcess } from '../../solver/container.ts';
import { enumName, SECURITY_MODE } from '../../solver/llb/enums.ts';
import { META, SECRET_ENV } from '../../solver/llb/exec-op.ts';
import { errorStatus } from '../grpc/grpc-status.ts';
import type { ExecMessage, ExecMessageSchema, InitMessage } from '../proto/gateway.gen.ts';
import { type Status, StatusSchema } from '../proto/rpc-status.gen.ts';
import type { Containers } from './containers.ts';
import { Handover } from './handover.ts';

type Message = MessageInitShape<typeof ExecMessageSchema>;

/** Bounds for one stream of messages. */
const MAX_RUNNING = 64;
const MAX_STARTED = 10_000;
const MAX_NAME = 512;
/** So many bytes may wait until a process reads its input, before no more messages are read. */
const MAX_WAITING = 1 << 20;

/** The exit code of a process of which none is known. */
const UNKNOWN_EXIT = 255;

/**
 * # ExecProcess: processes in containers
 *
 * One stream carries the messages of all processes of a client, each with the ID of its process.
 * For a process the client is told, in this order: Started, its output and the end of each stream,
 * Exit, Done. A message that is wrong ends the stream. The end of the stream kills its processes,
 * because nobody could talk to them any more.
 */
export async function* execProcess(
  requests: AsyncIterable<ExecMessage>,
  containers: Containers,
  signal: AbortSignal,
): AsyncGenerator<Message> {
  const stream = new ProcessStream(containers);
  using _ended = stream;
  const abort = () => stream[Symbol.dispose]();
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    void stream.read(requests);
    yield* stream.told();
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** A process of the stream. Undefined as long as it is known only that it was there. */
interface Talk {
  readonly process: ContainerProcess;
  /** Bytes of input that the process has not taken. */
  waiting: number;
}

class ProcessStream implements Disposable {
  readonly #containers: Containers;
  readonly #over = new AbortController();
  readonly #told = new Handover<Message>();
  /** The processes that were started; undefined for those that have ended. */
  readonly #started = new Map<string, Talk | undefined>();
  readonly #running = new Set<Promise<void>>();

  constructor(containers: Containers) {
    this.#containers = containers;
  }

  /** What the client is told, until all processes have ended and no more can come. */
  told(): AsyncGenerator<Message> {
    return this.#told.taken();
  }

  /** Does what the messages say. An error ends the stream. */
  async read(requests: AsyncIterable<ExecMessage>): Promise<void> {
    try {
      for await (const message of requests) {
        if (this.#over.signal.aborted) return;
        await this.#take(message);
      }
      while (this.#running.size > 0) await Promise.all(this.#running);
      this.#told.end();
    } catch (error) {
      this.#told.fail(error);
    }
  }

  [Symbol.dispose](): void {
    this.#over.abort(new CancelledError());
    this.#told.end();
  }

  async #take({ processId: id, input }: ExecMessage): Promise<void> {
    if (id === '' || id.length > MAX_NAME)
      throw new ConnectError('a message needs the ID of a process', Code.InvalidArgument);
    if (input.case === 'init') return await this.#start(id, input.value);
    if (!this.#started.has(id))
      throw new ConnectError(`there is no process ${JSON.stringify(id)}`, Code.NotFound);
    const talk = this.#started.get(id);
    switch (input.case) {
      case 'file':
        if (input.value.fd !== 0)
          throw new ConnectError(`stream ${input.value.fd} takes no input`, Code.OutOfRange);
        return talk && (await this.#write(talk, input.value.data, input.value.eof));
      case 'resize':
        return talk?.process.resize(input.value.rows, input.value.cols);
      case 'signal': {
        const number = signalNumber(input.value.name);
        return talk?.process.kill(number);
      }
      default:
        throw new ConnectError(
          `a client sends no message ${input.case ?? 'without content'}`,
          Code.InvalidArgument,
        );
    }
  }

  async #write(talk: Talk, data: Uint8Array, eof: boolean): Promise<void> {
    const { process } = talk;
    if (data.byteLength > 0) {
      talk.waiting += data.byteLength;
      const written = process.write(data).finally(() => {
        talk.waiting -= data.byteLength;
      });
      if (talk.waiting > MAX_WAITING)
        await Promise.race([written, process.exited.catch(() => {}), this.#told.ended]);
    }
    if (eof) process.end();
  }

  async #start(id: string, init: InitMessage): Promise<void> {
    if (this.#started.has(id))
      throw new ConnectError(`the process ${id} is there already`, Code.AlreadyExists);
    if (this.#running.size === MAX_RUNNING || this.#started.size === MAX_STARTED)
      throw new ConnectError('the stream has too many processes', Code.ResourceExhausted);
    const container = await this.#containers.get(init.containerId);
    const command = commandOf(init);
    const tell = (input: NonNullable<Message['input']>) =>
      this.#told.give({ processId: id, input });
    const isTold = Promise.withResolvers<void>();
    this.#started.set(id, undefined);
    let process: ContainerProcess | undefined;
    let failure: unknown;
    try {
      process = await container.start(
        command,
        async (fd, data) => {
          await isTold.promise;
          await tell({ case: 'file', value: data ? { fd, data } : { fd, eof: true } });
        },
        this.#over.signal,
      );
      this.#started.set(id, { process, waiting: 0 });
    } catch (error) {
      // What is no KilnError is a bug, and ends the stream.
      if (!(error instanceof KilnError)) throw error;
      failure = error;
    }
    const talk = async () => {
      await tell({ case: 'started', value: {} });
      isTold.resolve();
      const exit = await exitOf(process ? process.exited : Promise.reject(failure));
      this.#started.set(id, undefined);
      await tell({ case: 'exit', value: exit });
      await tell({ case: 'done', value: {} });
    };
    const talking: Promise<void> = talk()
      .catch((error) => this.#told.fail(error))
      .finally(() => this.#running.delete(talking));
    this.#running.add(talking);
  }
}

async function exitOf(
  exited: Promise<number>,
): Promise<{ readonly code: number; readonly error?: Status }> {
  try {
    const code = await exited;
    if (code === 0) return { code };
    const message = `exit code: ${code}`;
    return { code, error: create(StatusSchema, { code: Code.Unknown, message }) };
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    const status =
      error instanceof CancelledError
        ? create(StatusSchema, { code: Code.Canceled, message: 'context canceled' })
        : errorStatus(error);
    return { code: UNKNOWN_EXIT, error: status };
  }
}

function commandOf({ meta: bytes, fds, tty, security, secretenv }: InitMessage): ContainerCommand {
  const mode = enumName(SECURITY_MODE, security);
  if (mode === undefined)
    throw new ConnectError(`there is no security mode ${security}`, Code.InvalidArgument);
  if (fds.some((fd) => fd > 2) || fds.length > 3)
    throw new ConnectError('a process has the streams 0, 1 and 2', Code.InvalidArgument);
  const meta = META.read(bytes);
  if (meta.args.length === 0)
    throw new ConnectError('a process needs a command', Code.InvalidArgument);
  return {
    meta,
    security: SECURITY_MODE[mode],
    secretenv: secretenv.map((one) => SECRET_ENV.read(one)),
    streams: new Set(fds),
    terminal: tty,
  };
}

/** The number of the first signal for programs, in libc's view. */
const SIGRTMIN = 34;
const SIGRTMAX = 64;

/** The number of a signal by its name without SIG. Throws a ConnectError for an unknown one. */
function signalNumber(name: string): number {
  const known = Object.entries(constants.signals).find(([full]) => full === `SIG${name}`)?.[1];
  const [, from, distance = '0'] = /^RT(MIN|MAX)([+-]\d{1,2})?$/.exec(name) ?? [];
  const number = known ?? (from && Number(distance) + (from === 'MIN' ? SIGRTMIN : SIGRTMAX));
  if (typeof number === 'number' && number > 0 && number <= SIGRTMAX) return number;
  throw new ConnectError(`there is no signal ${JSON.stringify(name)}`, Code.InvalidArgument);
}
