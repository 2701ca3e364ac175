import { request } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import type { Ran, RunOptions } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/** An answer of the socket. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** What a request has besides its method and path. */
export interface Asked {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | undefined;
}

/** A rig in which `kiln serve --docker` runs, and Docker's client knows only that socket. */
export class DockerRig implements AsyncDisposable {
  readonly serve: ServeRig;
  readonly socket: string;

  private constructor(serve: ServeRig, socket: string) {
    this.serve = serve;
    this.socket = socket;
  }

  static async create(images: readonly string[], ...flags: readonly string[]): Promise<DockerRig> {
    const serve = await ServeRig.with(
      (rig) => ['--docker', `unix://${rig.path('docker.sock')}`, ...flags],
      ...images,
    );
    return new DockerRig(serve, serve.rig.path('docker.sock'));
  }

  /**
   * Runs Docker's client with these words, and more that may have blanks. It must succeed, or exit
   * with `expect`.
   */
  docker(words: string, options: RunOptions = {}, more: readonly string[] = []): Promise<Ran> {
    const env = { ...this.env, ...options.env };
    return this.serve.docker([...words.split(' '), ...more], { ...options, env });
  }

  /** By which programs find the socket. */
  get env(): NodeJS.ProcessEnv {
    return { DOCKER_HOST: `unix://${this.socket}`, BUILDX_BUILDER: '' };
  }

  /** Asks the socket itself. */
  ask(method: string, path: string, { headers = {}, body }: Asked = {}): Promise<Answer> {
    return ask(this.socket, method, path, { headers, body });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.serve[Symbol.asyncDispose]();
  }
}

export async function ask(
  socketPath: string,
  method: string,
  path: string,
  { headers = {}, body }: Asked = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const out = request({ socketPath, method, path, headers: { host: 'docker', ...headers } });
  out.once('error', reject);
  out.once('response', (answer) => {
    textOf(answer).then(
      (text) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }),
      reject,
    );
  });
  out.end(body);
  return await promise;
}
