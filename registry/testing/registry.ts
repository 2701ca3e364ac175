import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TokenServer } from './tokens.ts';

/** A real registry (Debian's docker-registry) on a free loopback port, for tests. It ends, and its data goes, with the scope. */
export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** What it logged so far, one line per request and more. */
  readonly log: () => string;
}

export interface TestRegistryOptions {
  /** Ask for basic authentication, with TEST_LOGIN. */
  readonly login?: boolean;
  /** The https certificate and key files, for a registry that speaks TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** The CA file of clients, which then have to show a certificate. */
  readonly clientCa?: string;
  /** Ask for tokens of this server. */
  readonly tokens?: Pick<TokenServer, 'realm' | 'certificate'>;
  /** Serve what the registry at this URL has, as a pull-through cache. */
  readonly mirrorOf?: string;
}

export const TEST_LOGIN = { username: 'baker', password: 'baker' } as const;
/** bcrypt of the password above. */
const HTPASSWD = 'baker:$2b$04$abcdefghijklmnopqrstuuSbfn9fFsFVtgFRN4ixunLTa4NjqxX6K\n';

/** Why there can be no test registry on this machine, or undefined. */
export function registryMissing(): string | undefined {
  return spawnSync('docker-registry', ['--version'], { stdio: 'ignore' }).status === 0
    ? undefined
    : 'docker-registry is not installed';
}

export async function startRegistry(options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-registry-'));
  try {
    writeFileSync(join(directory, 'htpasswd'), HTPASSWD);
    writeFileSync(join(directory, 'config.yml'), configuration(directory, options));
    const { child, address, log } = await listening(join(directory, 'config.yml'));
    const stop = async () => {
      await ended(child);
      rmSync(directory, { recursive: true, force: true });
    };
    return { host: address, log, [Symbol.asyncDispose]: stop };
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

function configuration(directory: string, options: TestRegistryOptions): string {
  const { login, tokens, mirrorOf } = options;
  return [
    'version: 0.1',
    'log: { level: info, formatter: text }',
    `storage: { filesystem: { rootdirectory: ${join(directory, 'data')} }, delete: { enabled: true } }`,
    // Port 0: the kernel picks a free one, and the log says which.
    `http: { addr: "127.0.0.1:0"${tlsOf(options)} }`,
    ...(login ? [`auth: { htpasswd: { realm: test, path: ${join(directory, 'htpasswd')} } }`] : []),
    ...(tokens
      ? [`auth: { token: { realm: "${tokens.realm}", service: test, issuer: test, rootcertbundle: ${tokens.certificate} } }`]
      : []),
    ...(mirrorOf === undefined ? [] : [`proxy: { remoteurl: "${mirrorOf}" }`]),
    '',
  ].join('\n');
}

function tlsOf({ tls, clientCa }: TestRegistryOptions): string {
  if (!tls) return '';
  return `, tls: { certificate: ${tls.certificate}, key: ${tls.key}${clientCa ? `, clientcas: ["${clientCa}"]` : ''} }`;
}

function listening(config: string): Promise<{ child: ChildProcess; address: string; log: () => string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('docker-registry', ['serve', config], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], OTEL_TRACES_EXPORTER: 'none' },
    });
    let text = '';
    const collect = (chunk: Buffer) => {
      text += chunk.toString();
      const found = /listening on (127\.0\.0\.1:\d+)/.exec(text);
      if (found?.[1]) resolve({ child, address: found[1], log: () => text });
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`docker-registry ended with ${code}:\n${text}`)));
  });
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}
