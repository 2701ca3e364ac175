import { globSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { cat, KILN, ROOT, run } from './rig.ts';
import { DOCKER, ServeRig } from './serve-rig.ts';

/** The shell blocks of a page, below `heading` when one is given, as one script. */
function blocks(page: string, heading?: string): string {
  const text = readFileSync(join(ROOT, page), 'utf8');
  const section =
    heading === undefined
      ? text
      : (new RegExp(`^## ${heading}\\n(.*?)(?=^## )`, 'ms').exec(text)?.[1] ?? '');
  return [...section.matchAll(/^ *```sh\n(.*?)^ *```$/gms)].map(([, block]) => block).join('');
}

const missing = registryMissing();
const isRoot = process.getuid?.() === 0;
if (missing) console.log(`SKIP the commands of the README for Docker's clients: ${missing}`);
else if (!isRoot)
  console.log("SKIP the commands of the README for Docker's clients: they are those of root");
else
  test("the commands of the README for Docker's clients work as they are written", async () => {
    await using registry = await startRegistry();
    await using serve = await ServeRig.create('busybox');
    const { rig } = serve;
    // The script makes its own builder and server, on the same store and the socket that it names.
    await serve.buildx(['rm', 'k']);
    await serve.end();
    const script = blocks('README.md', 'With buildx, bake and Compose');
    assert.match(script, /^\.\/kiln serve &\n.*^docker compose /ms);
    rig.write('run', {
      'script.sh': `
set -eu
mount -t tmpfs tmpfs /run
trap 'kill %1; wait' EXIT
${script}
`,
    });
    symlinkSync(DOCKER, rig.path('run/docker'));
    await run(['unshare', '--mount', 'bash', rig.path('run/script.sh')], {
      cwd: ROOT,
      expect: 0,
      env: {
        ...serve.clientEnv,
        BUILDX_BUILDER: '',
        KILN_ROOT: rig.store,
        REGISTRY: registry.host,
        PATH: `${rig.path('run')}:${process.env['PATH']}`,
      },
    });
    const { stdout } = await rig.kiln(['run', 'hello'], { expect: 0 });
    assert.ok(stdout.length > 0);
    assert.match(await cat(rig, 'services/worker', '/srv/app/work.sh'), 'sleep 30');
    const worker = `${registry.host}/services/worker`;
    await rig.kiln(['pull', '-q', worker], { expect: 0 });
    assert.match(await cat(rig, worker, '/srv/app/work.sh'), 'sleep 60');
  });

if (!missing && isRoot)
  test("the commands of the page on Docker's socket work as they are written", async () => {
    await using registry = await startRegistry();
    await using serve = await ServeRig.create('busybox');
    const { rig } = serve;
    await serve.end();
    const script = blocks('docs/docker-socket.md', 'Start it');
    assert.match(script, /^kiln serve --docker .*^DOCKER_BUILDKIT=0 docker build /ms);
    rig.write('run', {
      'script.sh': `
set -eu
mount -t tmpfs tmpfs /run
trap 'kill %1; wait' EXIT
${script
  .replaceAll('127.0.0.1:5000', registry.host)
  .replace(/^export .*$/m, '$&\nwhile [ ! -S /run/kiln/docker.sock ]; do sleep 0.05; done')}
`,
      Dockerfile: 'FROM busybox\nRUN echo built > /x\n',
      'compose.yaml': 'services:\n  one:\n    build: .\n    image: composed\n',
    });
    symlinkSync(DOCKER, rig.path('run/docker'));
    symlinkSync(KILN, rig.path('run/kiln'));
    await run(['unshare', '--mount', 'bash', 'script.sh'], {
      cwd: rig.path('run'),
      expect: 0,
      env: {
        ...serve.clientEnv,
        BUILDX_BUILDER: '',
        KILN_ROOT: rig.store,
        PATH: `${rig.path('run')}:${process.env['PATH']}`,
      },
    });
    for (const name of ['app', 'composed', `${registry.host}/app`])
      assert.is(await cat(rig, name, '/x'), 'built\n');
    await rig.kiln(['pull', '-q', `${registry.host}/app`], { expect: 0 });
  });

/** The calls of `docker buildx` and `docker compose` in the shell blocks of all pages. */
function callsOfDocker(): readonly { readonly page: string; readonly words: readonly string[] }[] {
  return globSync(['*.md', 'docs/**/*.md', 'examples/**/*.md'], { cwd: ROOT }).flatMap((page) =>
    blocks(page)
      .replace(/\\\n/g, ' ')
      .split(/\n|\||&&|;/)
      .map((line) => line.trim().split(/\s+/))
      .filter(([docker, group]) => docker === 'docker' && /^(buildx|compose)$/.test(group ?? ''))
      .map((words) => ({ page, words: words.slice(1) })),
  );
}

test("flags of Docker's clients in the documents exist", async () => {
  await using serve = await ServeRig.create();
  const env = { BUILDX_EXPERIMENTAL: '1' };
  const helps = new Map<string, Promise<string>>();
  const flagsOf = async (command: readonly string[]): Promise<string[]> => {
    const key = command.join(' ');
    const asked = async () => (await serve.docker([...command, '--help'], { env })).stdout;
    const help = helps.get(key) ?? asked();
    helps.set(key, help);
    return [...(await help).matchAll(/^ +(?:(-\w), )?(--[a-z-]+)/gm)].flat();
  };
  const calls = callsOfDocker();
  assert.ok(calls.length > 5, JSON.stringify(calls));
  for (const { page, words } of calls) {
    const [group = '', ...rest] = words;
    const [command = '', inner = ''] = rest.filter((word) => /^[a-z]+$/.test(word));
    const known = new Set([
      // Flags of `docker compose` itself stand before its command.
      ...(await flagsOf([group])),
      ...(await flagsOf([group, command])),
      // `docker buildx debug` has another command after its own flags.
      ...(command === 'debug' ? await flagsOf([group, inner]) : []),
    ]);
    for (const word of rest) {
      const flag = /^--?[a-z][a-z-]*/.exec(word)?.[0];
      if (flag !== undefined) assert.ok(known.has(flag), `${page}: ${words.join(' ')}: ${flag}`);
    }
  }
});

test.run();
