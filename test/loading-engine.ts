import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/** What stands in for a Docker engine, as far as `--load` goes: it takes archives of images. */
export interface LoadingEngine extends AsyncDisposable {
  /** The archives that were loaded, in order. */
  readonly loaded: readonly Buffer[];
}

/**
 * Serves the part of Docker's API that buildx uses to load an image, at the unix socket `path`.
 * `hasContainerd`: as an engine with containerd's image store, which loads indexes too.
 */
export async function loadingEngine(path: string, hasContainerd: boolean): Promise<LoadingEngine> {
  const loaded: Buffer[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const json = (value: unknown) =>
      response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
    const url = (request.url ?? '').replace(/^\/v\d+\.\d+/, '').replace(/\?.*$/, '');
    response.setHeader('api-version', '1.47').setHeader('ostype', 'linux');
    if (url === '/_ping') return void response.end('OK');
    const type = 'io.containerd.snapshotter.v1';
    if (url === '/info')
      return void json({ DriverStatus: hasContainerd ? [['driver-type', type]] : [] });
    if (url === '/version') return void json({ Version: '28.0.0', ApiVersion: '1.47' });
    if (url !== '/images/load') return void response.writeHead(404).end('{}');
    loaded.push(Buffer.concat(await request.toArray()));
    json({ stream: 'Loaded image' });
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((done) => server.listen(path, done));
  return {
    loaded,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
