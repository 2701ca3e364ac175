/**
 * Holds the cache format to Docker 28:
 *
 *   node scripts/oracle-cache.ts 'COMMAND PREFIX docker' ['PATH PREFIX']
 *
 * 1. Docker exports caches of a small build; their documents (no layer) are frozen in
 *    cache/remote/testdata/, for the tests.
 * 2. Docker imports what Kiln exports, of each form, and must neither warn nor fail, and build the
 *    right image.
 * 3. Kiln imports what Docker exports, with its layers.
 *
 * PATH PREFIX is where the engine's client sees this host's files, `/host` for one in a tree of its
 * own.
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
// A name of its own: BuildKit remembers contexts by their base name.
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

/** Not synchronously: the registry's log must be read while the command runs. */
async function command(
  argv: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const { stdout, stderr } = await run(argv, { cwd: work, env, expect: 0 });
  return `${stdout}${stderr}`;
}
const seen = (path: string) => `${pathPrefix}${join(work, path)}`;
const docker = (...args: string[]) =>
  command([
    ...prefix,
    'buildx',
    'build',
    '--progress=plain',
    '--network=host',
    '--provenance=false',
    ...args,
    seen(basename(context)),
  ]);
const kiln = (...args: string[]) =>
  command([KILN, 'build', '--progress=plain', ...args, context], store);
const expect = (what: string, said: string, wanted: RegExp, unwanted: RegExp) => {
  if (!wanted.test(said) || unwanted.test(said)) throw new Error(`${what}:\n${said}`);
  console.log(`ok: ${what}`);
};

try {
  await using registry = await startRegistry();
  cpSync(testImage('busybox'), join(work, 'busybox.tar'));
  await command([...prefix, 'load', '--input', seen('busybox.tar')]);
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
      `type=local,src=${seen(form)}`,
    ]) {
      const said = await docker(
        '--cache-from',
        from,
        '--output',
        `type=local,dest=${seen('docker-out')}`,
      );
      expect(
        `Docker imports Kiln's cache, ${from}`,
        said,
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
    const said = await kiln(
      '--no-cache',
      '--cache-from',
      `type=registry,ref=${host}/docker:${form.replace('=', '-')}`,
      '--output',
      'type=local,dest=kiln-out',
    );
    expect(
      `Kiln imports Docker's cache, ${form}`,
      said,
      /importing cache manifest from[\s\S]*records/,
      /ERROR|WARN|not used/,
    );
    if (readFileSync(join(work, 'kiln-out/both'), 'utf8') !== 'hello\nhello\n')
      throw new Error('the image is wrong');
  }
  await kiln('--cache-to', 'type=inline', '--output', `type=registry,name=${host}/inline:kiln`);
  const said = await docker(
    '--cache-from',
    `${host}/inline:kiln`,
    '--output',
    `type=local,dest=${seen('docker-out')}`,
  );
  expect(
    "Docker imports Kiln's inline cache",
    said,
    /importing cache manifest from[\s\S]*DONE/,
    /ERROR|WARN|failed/i,
  );
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** One cache per build: two of one build get each other's manifest in their index. */
async function freeze(): Promise<void> {
  const frozen = join(ROOT, 'cache/remote/testdata');
  rmSync(frozen, { recursive: true, force: true });
  const variants = { max: 'mode=max', index: 'mode=max,image-manifest=false', min: 'mode=min' };
  for (const [name, options] of Object.entries(variants)) {
    await docker(
      '--no-cache',
      '--cache-to',
      `type=local,dest=${seen(name)},${options}`,
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
    `type=oci,dest=${seen('inline')},tar=false`,
  );
  keepDocuments(join(work, 'inline'), join(frozen, 'inline'));
}

/** A layout without its layers. */
function keepDocuments(from: string, to: string): void {
  mkdirSync(join(to, 'blobs/sha256'), { recursive: true });
  for (const name of ['index.json', 'oci-layout']) cpSync(join(from, name), join(to, name));
  for (const name of readdirSync(join(from, 'blobs/sha256'))) {
    const path = join(from, 'blobs/sha256', name);
    if (statSync(path).size < 100_000 && readFileSync(path, 'utf8').startsWith('{'))
      cpSync(path, join(to, 'blobs/sha256', name));
  }
}
