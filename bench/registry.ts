import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

/**
 * Starts docker-registry on loopback with its data in `directory`. Returns undefined when the
 * program is not installed. Disposing the returned value ends it.
 */
export async function startRegistry(
  directory: string,
): Promise<(AsyncDisposable & { readonly host: string }) | undefined> {
  if (spawnSync('docker-registry', ['--version'], { stdio: 'ignore' }).error) return undefined;
  mkdirSync(directory, { recursive: true });
  const port = await freePort();
  const config = join(directory, 'config.yml');
  writeFileSync(
    config,
    'version: 0.1\n' +
      'log: {level: error, accesslog: {disabled: true}}\n' +
      `storage: {filesystem: {rootdirectory: ${directory}/data}, delete: {enabled: true}}\n` +
      `http: {addr: 127.0.0.1:${port}}\n`,
  );
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  const host = `127.0.0.1:${port}`;
  for (let attempt = 0; attempt < 100; attempt++) {
    if (
      await fetch(`http://${host}/v2/`).then(
        (response) => response.ok,
        () => false,
      )
    )
      break;
    await new Promise((done) => setTimeout(done, 50));
  }
  return {
    host,
    async [Symbol.asyncDispose]() {
      const ended = new Promise((done) => child.once('close', done));
      child.kill();
      await ended;
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
