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

/**
 * Starts `kiln serve` with the store in `store`. The client does not see what is mounted later:
 * `socket` is outside of the store for that reason.
 */
export async function served(client: Client, store: string, socket: string): Promise<Served> {
  const env = { KILN_ROOT: store };
  const binary = join(ROOT, 'kiln');
  const server = spawn(binary, ['serve', '--addr', `unix://${socket}`], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  while (!existsSync(socket)) {
    if (server.exitCode !== null) throw new Error('kiln serve has ended');
    await new Promise((done) => setTimeout(done, 50));
  }
  const engine = await driven('kiln serve', client, socket);
  return {
    ...engine,
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
