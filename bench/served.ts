import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from './engines.ts';
import { timed } from './timed.ts';

const ROOT = join(import.meta.dirname, '..');

/** A server that the buildx of a Docker client drives. */
export interface Served extends Engine, AsyncDisposable {}

/** A Docker client. */
export interface Client {
  /** The command that runs it, before its arguments. */
  readonly prefix: readonly string[];
  /** The directory below which it sees the files of this machine. */
  readonly seenAt: string;
}

const buildsOnly = async () => {
  throw new Error('a server is measured by builds only');
};

/** A server of BuildKit's API that listens on the unix socket `socket`. */
export async function driven(name: string, client: Client, socket: string): Promise<Served> {
  const builder = `kiln-bench-${process.pid}-${name.replaceAll(' ', '-')}`;
  const buildx = [...client.prefix, 'buildx'];
  const address = `unix://${client.seenAt}${socket}`;
  await timed([...buildx, 'create', '--name', builder, '--driver', 'remote', address], ROOT);
  const common = ['build', '--builder', builder, '--provenance=false', '--quiet'];
  return {
    name,
    // `-t` alone would keep the result in the cache only, and Docker makes an image of it.
    build: (directory) =>
      timed([...buildx, ...common, '--output', 'type=image,name=bench', '.'], directory),
    load: buildsOnly,
    forget: buildsOnly,
    forgetSteps: buildsOnly,
    pull: buildsOnly,
    version: buildsOnly,
    check: buildsOnly,
    async [Symbol.asyncDispose]() {
      await timed([...buildx, 'rm', '--force', builder], ROOT).catch(() => {});
    },
  };
}

/** `docker build` against the unix socket `socket` of Docker's API. */
function bySocket(client: Client, socket: string): Engine {
  const docker = [...client.prefix, '-H', `unix://${client.seenAt}${socket}`];
  return {
    name: "Kiln's socket",
    build: (directory) =>
      timed([...docker, 'build', '--provenance=false', '--quiet', '-t', 'bench', '.'], directory),
    load: buildsOnly,
    async forget(directory, names) {
      for (const name of ['bench', ...names])
        await timed([...docker, 'image', 'rm', '--force', name], directory).catch(() => {});
      await timed([...docker, 'builder', 'prune', '--all', '--force'], directory);
    },
    forgetSteps: buildsOnly,
    pull: buildsOnly,
    version: buildsOnly,
    check: buildsOnly,
  };
}

/** A server of both APIs. */
export interface ServedBoth extends Served {
  /** `docker build` against its socket of Docker's API. */
  readonly docker: Engine;
}

/**
 * Starts `kiln serve` with the store in `store`. The client does not see what is mounted later:
 * `socket` is outside of the store for that reason. The socket of Docker's API is beside it.
 */
export async function served(client: Client, store: string, socket: string): Promise<ServedBoth> {
  const env = { KILN_ROOT: store };
  const binary = join(ROOT, 'kiln');
  const docker = `${socket}.docker`;
  const addresses = ['--addr', `unix://${socket}`, '--docker', `unix://${docker}`];
  const server = spawn(binary, ['serve', ...addresses], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  while (!existsSync(docker)) {
    if (server.exitCode !== null) throw new Error('kiln serve has ended');
    await new Promise((done) => setTimeout(done, 50));
  }
  const engine = await driven('kiln serve', client, socket);
  return {
    ...engine,
    docker: bySocket(client, docker),
    // Kiln itself loads images into the store of its server.
    load: async (directory, archive) =>
      void (await timed([binary, 'load', '--quiet', '--input', archive], directory, env)),
    async [Symbol.asyncDispose]() {
      await engine[Symbol.asyncDispose]();
      const ended = new Promise((done) => server.once('exit', done));
      server.kill('SIGTERM');
      await ended;
    },
  };
}
