import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Fixed authors and times, so that commits have the same ids in each run. */
const ENV = {
  PATH: process.env['PATH'] ?? '',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'a',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_AUTHOR_DATE: '2010-01-02T03:04:05Z',
  GIT_COMMITTER_NAME: 'a',
  GIT_COMMITTER_EMAIL: 'a@example.org',
  GIT_COMMITTER_DATE: '2010-01-02T03:04:05Z',
};

/** The time of the commits of `Repositories`, in seconds since 1970. */
export const COMMIT_TIME = Date.parse(ENV.GIT_COMMITTER_DATE) / 1000;

/**
 * Working repositories, and the bare ones that a server offers. All are in one temporary directory.
 */
export class Repositories implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'kiln-git-'));
  /** The directory of the bare repositories, which are called NAME.git. */
  readonly served = join(this.directory, 'served');

  /** Copies the repositories of `like`, which takes a tenth of the time of making them. */
  constructor(like?: Repositories) {
    if (like) cpSync(like.directory, this.directory, { recursive: true, verbatimSymlinks: true });
  }

  git(repository: string, ...args: string[]): string {
    return execFileSync(
      'git',
      ['-c', 'init.defaultBranch=main', '-c', 'protocol.file.allow=always', ...args],
      {
        cwd: join(this.directory, repository),
        env: ENV,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    ).trim();
  }

  /**
   * Adds files to the repository `name`, which is made if needed, and commits them. Returns the id
   * of the commit.
   */
  commit(name: string, files: Readonly<Record<string, string>>): string {
    const work = join(this.directory, name);
    mkdirSync(work, { recursive: true });
    this.git(name, 'init', '--quiet');
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(work, path)), { recursive: true });
      writeFileSync(join(work, path), content, { mode: content.startsWith('#!') ? 0o755 : 0o644 });
    }
    this.git(name, 'add', '--all');
    this.git(name, 'commit', '--quiet', '--allow-empty', '--message', 'a change');
    return this.git(name, 'rev-parse', 'HEAD');
  }

  /** Makes the current state of a repository available at the server. */
  publish(name: string): void {
    const bare = join(this.served, `${name}.git`);
    rmSync(bare, { recursive: true, force: true });
    mkdirSync(this.served, { recursive: true });
    this.git('.', 'clone', '--quiet', '--bare', name, bare);
    this.git(bare.slice(this.directory.length + 1), 'update-server-info');
    writeFileSync(join(bare, 'git-daemon-export-ok'), '');
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface GitServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Each request as `METHOD /path?query`, followed by the Authorization header if it had one. */
  readonly requests: string[];
}

/**
 * Serves repositories by smart http: git's http-backend as a CGI program. With `login`, only
 * requests with that Authorization header are served.
 */
export async function serveGit(
  root: string,
  options: { readonly login?: string } = {},
): Promise<GitServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    const { authorization } = request.headers;
    requests.push(`${request.method} ${request.url}${authorization ? ` ${authorization}` : ''}`);
    if (
      options.login !== undefined &&
      authorization?.toLowerCase() !== options.login.toLowerCase()
    ) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      return;
    }
    const child = spawn('git', ['http-backend'], {
      env: {
        ...ENV,
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: '1',
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: 'safe.directory',
        GIT_CONFIG_VALUE_0: '*',
        GIT_PROTOCOL: request.headers['git-protocol']?.toString() ?? '',
        PATH_INFO: decodeURIComponent(url.pathname),
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method ?? 'GET',
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        HTTP_CONTENT_ENCODING: request.headers['content-encoding']?.toString() ?? '',
        REMOTE_ADDR: '127.0.0.1',
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    request.pipe(child.stdin);
    child.stdin.on('error', () => {});
    const chunks: Buffer[] = [];
    child.stdout.on('data', (data: Buffer) => chunks.push(data));
    child.once('close', () => {
      const all = Buffer.concat(chunks);
      const split = all.indexOf('\r\n\r\n');
      const headers = all.subarray(0, split).toString().split('\r\n');
      const status = headers.find((line) => /^status:/i.test(line));
      for (const line of headers) {
        const colon = line.indexOf(':');
        if (line !== status) response.setHeader(line.slice(0, colon), line.slice(colon + 1).trim());
      }
      response
        .writeHead(status ? Number(/\d+/.exec(status)?.[0]) : 200)
        .end(all.subarray(split + 4));
    });
  });
  return { url: await listen(server), requests, [Symbol.asyncDispose]: () => close(server) };
}

export async function listen(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
}

/** Kills a child process of the test and waits until it has ended. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = new Promise((done) => child.once('close', done));
  child.kill('SIGKILL');
  await over;
}
