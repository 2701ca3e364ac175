import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { parseBuildFlags } from './flags.ts';
import type { BuildOptions } from './options.ts';

function parse(args: readonly string[], env: Record<string, string> = {}): BuildOptions {
  const parsed = parseBuildFlags(args, { env, stdoutIsTerminal: true, cpus: 2 });
  if (!parsed) throw new Error('only help');
  return parsed.options;
}

function refused(args: readonly string[]): KilnError {
  try {
    parse(args);
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
  throw new Error(`${args.join(' ')} was taken`);
}

test('flags may stand before and after the context, with = or a space', () => {
  const options = parse(['-t', 'a', '.', '--tag=b', '--target', 's', '-f', 'x/Dockerfile', '-tc']);
  assert.equal([options.context, options.tags, options.target, options.file], ['.', ['a', 'b', 'c'], 's', 'x/Dockerfile']);
});

test('boolean flags take =true and =false', () => {
  assert.is(parse(['--pull=true', '.']).pull, true);
  assert.is(parse(['--pull=false', '.']).pull, false);
  assert.is(parse(['--no-cache=true', '.']).noCache, 'all');
  assert.is(parse(['--no-cache=false', '.']).noCache, 'none');
  assert.is(parse(['--no-cache', '.']).noCache, 'all');
});

test('--no-cache-filter names stages', () => {
  assert.equal(parse(['--no-cache-filter', 'A,b', '--no-cache-filter=c', '.']).noCache, ['a', 'b', 'c']);
});

test('a build argument without a value has the one of the environment, or none', () => {
  const args = parse(['--build-arg', 'A=1=2', '--build-arg', 'B', '--build-arg', 'C', '.'], { B: 'env' }).buildArgs;
  assert.equal(
    [...args],
    [
      ['A', '1=2'],
      ['B', 'env'],
    ],
  );
});

test('SOURCE_DATE_EPOCH comes from the environment or an argument', () => {
  assert.is(parse(['.'], { SOURCE_DATE_EPOCH: '12' }).epoch, 12);
  assert.is(parse(['--build-arg', 'SOURCE_DATE_EPOCH=13', '.'], { SOURCE_DATE_EPOCH: '12' }).epoch, 13);
  assert.is(refused(['--build-arg', 'SOURCE_DATE_EPOCH=yesterday', '.']).code, 'KILN_EPOCH_INVALID');
});

test('platforms are normalised and split at commas', () => {
  const { platforms } = parse(['--platform', 'linux/amd64,linux/aarch64', '--platform=arm', '.']);
  assert.equal(
    platforms.map((platform) => [platform.architecture, platform.variant]),
    [
      ['amd64', undefined],
      ['arm64', undefined],
      ['arm', 'v7'],
    ],
  );
});

test('outputs as buildx takes them', () => {
  const outputs = (spec: string) => parse(['--output', spec, '.']).outputs[0];
  assert.equal(outputs('dir'), { type: 'local', dest: 'dir', attributes: new Map() });
  assert.equal(outputs('type=oci,dest=o.tar,"annotation.a=x,y",compression=zstd'), {
    type: 'oci',
    dest: 'o.tar',
    attributes: new Map([
      ['annotation.a', 'x,y'],
      ['compression', 'zstd'],
    ]),
  });
  assert.is(refused(['--output', '-', '.']).code, 'KILN_OUTPUT_INVALID', 'a terminal gets no tar');
  assert.is(refused(['--output', 'type=oci', '.']).code, 'KILN_OUTPUT_INVALID');
  assert.is(refused(['--output', 'type=local', '.']).code, 'KILN_OUTPUT_INVALID');
  assert.match(refused(['--output', 'type=imgae', '.']).hint ?? '', 'type=image');
  assert.is(parse(['--push', '.']).outputs[0]?.type, 'registry');
});

test('secrets from files and from the environment', () => {
  assert.equal(parse(['--secret', 'id=a,src=/etc/passwd', '.']).secrets, [
    { id: 'a', source: { kind: 'file', path: '/etc/passwd' } },
  ]);
  assert.equal(parse(['--secret', 'id=a,env=B', '.']).secrets, [{ id: 'a', source: { kind: 'env', name: 'B' } }]);
  assert.equal(parse(['--secret', 'type=env,id=a', '.']).secrets, [{ id: 'a', source: { kind: 'env', name: 'a' } }]);
  assert.equal(parse(['--secret', 'id=a', '.'], { a: 'x' }).secrets, [{ id: 'a', source: { kind: 'env', name: 'a' } }]);
  assert.is(refused(['--secret', 'id=a,src=/nowhere/a', '.']).code, 'KILN_SECRET_NOT_FOUND');
  assert.is(refused(['--secret', 'src=/etc/passwd', '.']).code, 'KILN_FLAG_VALUE');
});

test('sizes, limits and hosts', () => {
  assert.is(parse(['--shm-size', '128m', '.']).shmSize, 128 << 20);
  assert.equal(parse(['--ulimit', 'nofile=1024:4096', '--ulimit', 'nproc=10', '.']).ulimits, [
    { name: 'nofile', soft: 1024, hard: 4096 },
    { name: 'nproc', soft: 10, hard: 10 },
  ]);
  assert.equal(parse(['--add-host', 'a:1.2.3.4', '--add-host', 'b=::1', '--add-host', 'c:[fe80::1]', '.']).extraHosts, [
    { host: 'a', ip: '1.2.3.4' },
    { host: 'b', ip: '::1' },
    { host: 'c', ip: 'fe80::1' },
  ]);
  assert.is(refused(['--network', 'mars', '.']).code, 'KILN_FLAG_VALUE');
});

test('a wrong flag is a usage error with exit code 2', () => {
  const error = refused(['--tga', 'x', '.']);
  assert.equal([error.code, error.exitCode], ['KILN_USAGE', 2]);
  assert.match(error.message, '--tag');
});

test.run();
