import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMAND_MISTAKES } from './mistakes/command-line.ts';
import { DOCKERFILE_MISTAKES } from './mistakes/dockerfile.ts';
import type { Mistake } from './mistakes/mistake.ts';
import { PLACE_MISTAKES } from './mistakes/places.ts';
import { type Ran, Rig } from './rig.ts';

const mistakes = suite('mistakes');

/**
 * A registry that answers with the status that the first part of a repository's name is, such as
 * `404/x`.
 */
async function answering(): Promise<{ readonly host: string } & AsyncDisposable> {
  const server = createServer((request, response) => {
    const [, , status = '200'] = (request.url ?? '').split('/');
    const code = Number(status) || 200;
    response.writeHead(code, {
      ...(code === 401 && { 'www-authenticate': 'Basic realm="x"' }),
      'content-type': 'application/json',
    });
    const told = JSON.stringify({ errors: [{ code: 'X', message: 'told by the registry' }] });
    response.end(request.method === 'HEAD' ? '' : told);
  });
  server.listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** Makes each mistake. Throws a list of what was said otherwise than the table has it. */
async function holdTo(table: readonly Mistake[]): Promise<void> {
  await using rig = await Rig.create('busybox');
  await using registry = await answering();
  const wrong: string[] = [];
  for (const [at, mistake] of table.entries()) {
    const {
      what,
      files = {},
      args = ['build', '.'],
      env = {},
      dockerfile = 'dockerfile' in mistake ? undefined : 'FROM busybox\n',
    } = mistake;
    const filled = (text: string) => text.replaceAll('$REGISTRY', registry.host);
    const cwd = rig.write(`m${at}`, {
      ...files,
      ...(dockerfile !== undefined && { Dockerfile: filled(dockerfile) }),
    });
    const ran = await rig.kiln(args.map(filled), {
      cwd,
      env: { BUILDKIT_PROGRESS: 'plain', ...env },
    });
    const shown = (text: string) => filled(text).replaceAll('$DIR', cwd);
    const missing = missingIn(ran, mistake, shown);
    if (missing !== undefined) wrong.push(`${what}: ${missing}\n${ran.stderr}`);
  }
  assert.equal(wrong, []);
}

/** Returns what of the row the command did not say. */
function missingIn(
  { code, stderr }: Ran,
  mistake: Mistake,
  shown: (text: string) => string,
): string | undefined {
  const { exit = 1, place, says, next } = mistake;
  if (code !== exit) return `exit code ${code}, not ${exit}`;
  if (/^\s+at .*\.(?:js|ts|cjs):\d+/m.test(stderr)) return 'a stack';
  const lines = stderr.replace(/sha256:(?!0{64})[0-9a-f]{64}/g, '$DIGEST').split('\n');
  const sentence = mistake.code === undefined ? says : `${says} [${mistake.code}]`;
  if (!lines.some((line) => line.includes(shown(sentence)))) return `no sentence ${sentence}`;
  if (place !== undefined && !lines.includes(shown(place))) return `no place ${place}`;
  if (next !== undefined && !lines.includes(shown(`hint: ${next}`))) return `no step ${next}`;
  return undefined;
}

mistakes('in a Dockerfile have a sentence, a place and a next step', async () => {
  await holdTo(DOCKERFILE_MISTAKES);
});

mistakes('on the command line name the flag and what to write', async () => {
  await holdTo(COMMAND_MISTAKES);
});

mistakes('about registries, archives, images and stores say what to do', async () => {
  await holdTo(PLACE_MISTAKES);
});

mistakes('nearly all have a next step', () => {
  const all = [...DOCKERFILE_MISTAKES, ...COMMAND_MISTAKES, ...PLACE_MISTAKES];
  const without = all.filter(({ exit, next }) => exit !== 0 && next === undefined);
  assert.equal(
    without.map(({ what }) => what),
    ['RUN fails'],
  );
});

mistakes.run();
