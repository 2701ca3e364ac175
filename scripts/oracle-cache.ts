/**
 * Compares the format of caches with Docker 28:
 *
 *   node scripts/oracle-cache.ts 'COMMAND PREFIX docker' ['PATH PREFIX']
 *
 * 1. Docker exports caches of a small build. Their documents, without layers, are saved in
 *    cache/remote/testdata/ for the tests.
 * 2. Docker imports caches that Kiln exports, in each form. It must not warn or fail, and must
 * build
 *    the right image.
 * 3. Kiln imports caches that Docker exports, with their layers.
 *
 * COMMAND PREFIX is the command before docker's arguments. PATH PREFIX is put before paths of this
 * host when docker runs in another root directory, such as `/host`.
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { startRegistry } from '../registry/testing/registry.ts';
import { KILN, ROOT, run, testImage } from '../test/rig.ts';

const [prefixText = 'docker', pathPrefix = ''] = process.argv.slice(2);
const prefix = prefixText.split(/\s+/);
const work = mkdtempSync(join(tmpdir(), 'kiln-oracle-cache-'));
// The name is unique, because BuildKit caches contexts by their base name.
const context = join(work, `context-${basename(work)}`);
const store = { KILN_ROOT: join(work, 'store') };

mkdirSync(context);
writeFileSync(
  join(context, 'Dockerfile'),
  `FROM busybox AS build
COPY a.txt /src/
RUN mkdir /out && cp /src/a.txt /out/b.txt
FROM busybox
WORKDIR /app
COPY --from=build /out /app/
COPY --link a.txt /linked/
RUN cat /app/b.txt /linked/a.txt > /both
`,
);
writeFileSync(join(context, 'a.txt'), 'hello\n');

/** Runs a command asynchronously, because the log of the registry must be read meanwhile. */
async function command(
  argv: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const { stdout, stderr } = await run(argv, { cwd: work, env, expect: 0 });
  return `${stdout}${stderr}`;
}
const dockerPath = (path: string) => `${pathPrefix}${join(work, path)}`;
const docker = (...args: string[]) =>
  command([
    ...prefix,
    'buildx',
    'build',
    '--progress=plain',
    '--network=host',
    '--provenance=false',
    ...args,
    dockerPath(basename(context)),
  ]);
const kiln = (...args: string[]) =>
  command([KILN, 'build', '--progress=plain', ...args, context], store);
const expect = (what: string, output: string, wanted: RegExp, unwanted: RegExp) => {
  if (!wanted.test(output) || unwanted.test(output)) throw new Error(`${what}:\n${output}`);
  console.log(`ok: ${what}`);
};

try {
  await using registry = await startRegistry();
  cpSync(testImage('busybox'), join(work, 'busybox.tar'));
  await command([...prefix, 'load', '--input', dockerPath('busybox.tar')]);
  await command([KILN, 'load', '--quiet', '--input', testImage('busybox')], store);
  await freeze();
  const { host } = registry;
  for (const form of ['image-manifest=true', 'image-manifest=false', 'oci-mediatypes=false']) {
    await kiln(
      '--cache-to',
      `type=registry,ref=${host}/cache:${form.replace('=', '-')},mode=max,${form}`,
      '--cache-to',
      `type=local,dest=${form},mode=max,${form}`,
    );
    for (const from of [
      `type=registry,ref=${host}/cache:${form.replace('=', '-')}`,
      `type=local,src=${dockerPath(form)}`,
    ]) {
      const output = await docker(
        '--cache-from',
        from,
        '--output',
        `type=local,dest=${dockerPath('docker-out')}`,
      );
      expect(
        `Docker imports Kiln's cache, ${from}`,
        output,
        /importing cache manifest from[\s\S]*DONE/,
        /ERROR|WARN|failed/i,
      );
      if (readFileSync(join(work, 'docker-out/both'), 'utf8') !== 'hello\nhello\n')
        throw new Error('the image is wrong');
    }
    await docker(
      '--no-cache',
      '--cache-to',
      `type=registry,ref=${host}/docker:${form.replace('=', '-')},mode=max,${form}`,
      '--output',
      'type=cacheonly',
    );
    const output = await kiln(
      '--no-cache',
      '--cache-from',
      `type=registry,ref=${host}/docker:${form.replace('=', '-')}`,
      '--output',
      'type=local,dest=kiln-out',
    );
    expect(
      `Kiln imports Docker's cache, ${form}`,
      output,
      /importing cache manifest from[\s\S]*records/,
      /ERROR|WARN|not used/,
    );
    if (readFileSync(join(work, 'kiln-out/both'), 'utf8') !== 'hello\nhello\n')
      throw new Error('the image is wrong');
  }
  await kiln('--cache-to', 'type=inline', '--output', `type=registry,name=${host}/inline:kiln`);
  const output = await docker(
    '--cache-from',
    `${host}/inline:kiln`,
    '--output',
    `type=local,dest=${dockerPath('docker-out')}`,
  );
  expect(
    "Docker imports Kiln's inline cache",
    output,
    /importing cache manifest from[\s\S]*DONE/,
    /ERROR|WARN|failed/i,
  );
} finally {
  rmSync(work, { recursive: true, force: true });
}

/**
 * Saves the documents of caches that Docker exports. Each build exports one cache, because the
 * indexes of two caches of one build contain the manifests of both.
 */
async function freeze(): Promise<void> {
  const frozen = join(ROOT, 'cache/remote/testdata');
  rmSync(frozen, { recursive: true, force: true });
  const variants = { max: 'mode=max', index: 'mode=max,image-manifest=false', min: 'mode=min' };
  for (const [name, options] of Object.entries(variants)) {
    await docker(
      '--no-cache',
      '--cache-to',
      `type=local,dest=${dockerPath(name)},${options}`,
      '--output',
      'type=cacheonly',
    );
    keepDocuments(join(work, name), join(frozen, name));
  }
  await docker(
    '--no-cache',
    '--cache-to',
    'type=inline',
    '--output',
    `type=oci,dest=${dockerPath('inline')},tar=false`,
  );
  keepDocuments(join(work, 'inline'), join(frozen, 'inline'));
}

/** Copies the documents of an OCI layout, without its layers. */
function keepDocuments(from: string, to: string): void {
  mkdirSync(join(to, 'blobs/sha256'), { recursive: true });
  for (const name of ['index.json', 'oci-layout']) cpSync(join(from, name), join(to, name));
  for (const name of readdirSync(join(from, 'blobs/sha256'))) {
    const path = join(from, 'blobs/sha256', name);
    if (statSync(path).size < 100_000 && readFileSync(path, 'utf8').startsWith('{'))
      cpSync(path, join(to, 'blobs/sha256', name));
  }
}
