import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TokenServer } from './tokens.ts';

/**
 * A real registry (Debian's docker-registry) on a free loopback port, for tests. It ends with its
 * scope, and its data is removed.
 */
export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** Its log so far: a line per request, and other lines. */
  readonly log: () => string;
  /**
   * All requests answered so far, in order, such as `GET /v2/a/blobs/sha256:… 200`. Plain http
   * only.
   */
  requests(): Promise<string[]>;
}

export interface TestRegistryOptions {
  /** Demand basic authentication with TEST_LOGIN. */
  readonly login?: boolean;
  /** The https certificate and key files, for a registry that speaks TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** The CA file for client certificates, which clients then have to show. */
  readonly clientCa?: string;
  /** Demand tokens of this server. */
  readonly tokens?: Pick<TokenServer, 'realm' | 'certificate'>;
  /** Act as a pull-through cache of the registry at this URL. */
  readonly mirrorOf?: string;
}

export const TEST_LOGIN = { username: 'baker', password: 'baker' } as const;
/** bcrypt of the password above. */
const HTPASSWD = 'baker:$2b$04$abcdefghijklmnopqrstuuSbfn9fFsFVtgFRN4ixunLTa4NjqxX6K\n';

/** The reason why no test registry can run on this machine, or undefined. */
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
    const { child, address, log, logged } = await listening(join(directory, 'config.yml'));
    const stop = async () => {
      await ended(child);
      rmSync(directory, { recursive: true, force: true });
    };
    return {
      host: address,
      log,
      requests: () => requests(address, log, logged),
      [Symbol.asyncDispose]: stop,
    };
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
    `storage: { filesystem: { rootdirectory: ${join(directory, 'data')} }, delete: { ` +
      'enabled: true } }',
    // With port 0 the kernel picks a free port, and the log says which.
    `http: { addr: "127.0.0.1:0"${tlsOf(options)} }`,
    ...(login ? [`auth: { htpasswd: { realm: test, path: ${join(directory, 'htpasswd')} } }`] : []),
    ...(tokens
      ? [
          `auth: { token: { realm: "${tokens.realm}", service: test, issuer: test, ` +
            `rootcertbundle: ${tokens.certificate} } }`,
        ]
      : []),
    ...(mirrorOf === undefined ? [] : [`proxy: { remoteurl: "${mirrorOf}" }`]),
    '',
  ].join('\n');
}

function tlsOf({ tls, clientCa }: TestRegistryOptions): string {
  if (!tls) return '';
  return (
    `, tls: { certificate: ${tls.certificate}, key: ` +
    `${tls.key}${clientCa ? `, clientcas: ["${clientCa}"]` : ''} }`
  );
}

let marks = 0;

/**
 * The registry logs a request after it has answered. A request of our own is logged last, so all
 * others are in the log by then.
 */
async function requests(
  host: string,
  log: () => string,
  logged: (text: string) => Promise<void>,
): Promise<string[]> {
  const mark = `/v2/?mark=${++marks}`;
  await (await fetch(`http://${host}${mark}`)).arrayBuffer();
  await logged(`"GET ${mark} HTTP/1.1" `);
  const lines = [...log().matchAll(/^\S+ - \S+ \[[^\]]+\] "(\w+) (\S+) HTTP\/1\.1" (\d+)/gm)];
  return lines
    .filter(([, , path]) => !path?.startsWith('/v2/?mark='))
    .map(([, method, path, status]) => `${method} ${path} ${status}`);
}

interface Listening {
  readonly child: ChildProcess;
  readonly address: string;
  readonly log: () => string;
  /** Waits until the log contains this text. */
  readonly logged: (text: string) => Promise<void>;
}

function listening(config: string): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const child = spawn('docker-registry', ['serve', config], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], OTEL_TRACES_EXPORTER: 'none' },
    });
    let text = '';
    const waiting = new Set<() => void>();
    const logged = (wanted: string) =>
      new Promise<void>((done) => {
        const look = () => {
          if (!text.includes(wanted)) return;
          waiting.delete(look);
          done();
        };
        waiting.add(look);
        look();
      });
    const collect = (chunk: Buffer) => {
      text += chunk.toString();
      const found = /listening on (127\.0\.0\.1:\d+)/.exec(text);
      if (found?.[1]) resolve({ child, address: found[1], log: () => text, logged });
      for (const look of [...waiting]) look();
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
