import { resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { parseReference } from '../../base/reference.ts';
import type { BuildRequest } from '../../builder/request.ts';
import { imageContext, remoteContext } from '../../builder/request.ts';
import { gitRefOf } from '../../frontend/convert/gitref.ts';
import type { BuildOptions } from '../build-options.ts';
import { parseBuildFlags } from './build-flags.ts';

type Parsed = NonNullable<ReturnType<typeof parseBuildFlags>>;

function parsedWith(args: readonly string[], env: Record<string, string> = {}): Parsed {
  const parsed = parseBuildFlags(args, { env, stdoutIsTerminal: true });
  if (!parsed) throw new Error('these arguments ask for help');
  return parsed;
}

function parse(args: readonly string[], env: Record<string, string> = {}): BuildOptions {
  return parsedWith(args, env).options;
}

function requested(args: readonly string[], env: Record<string, string> = {}): BuildRequest {
  return parse(args, env).request;
}

function refused(args: readonly string[]): KilnError {
  try {
    parse(args);
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
  throw new Error(`${args.join(' ')} was accepted`);
}

test('flags may stand before and after the context, with = or a space', () => {
  const { request, shownContext } = parse([
    '-t',
    'a',
    '.',
    '--tag=b',
    '--target',
    's',
    '-f',
    'x/Dockerfile',
    '-tc',
  ]);
  assert.equal([shownContext, request.tags, request.target], ['.', ['a', 'b', 'c'], 's']);
  assert.equal(request.dockerfile, {
    kind: 'file',
    path: resolve('x/Dockerfile'),
    name: 'x/Dockerfile',
  });
});

test('boolean flags take =true and =false', () => {
  assert.is(requested(['--pull=true', '.']).pull, true);
  assert.is(requested(['--pull=false', '.']).pull, false);
  assert.is(requested(['--pull', '.']).pull, true, 'the next word is no value of it');
  assert.is(requested(['--no-cache=true', '.']).noCache, 'all');
  assert.is(requested(['--no-cache=false', '.']).noCache, 'none');
  assert.is(requested(['--no-cache', '.']).noCache, 'all');
});

test('--pull takes the words of podman', () => {
  const asked = (...words: string[]) => {
    const { pull, lookUps } = requested([...words, '.']);
    return `${pull} ${lookUps}`;
  };
  assert.is(asked(), 'false ask');
  assert.is(asked('--pull'), 'true ask');
  assert.is(asked('--pull=always'), 'true ask');
  assert.is(asked('--pull=newer'), 'true ask');
  assert.is(asked('--pull=missing'), 'false missing');
  assert.is(asked('--pull=never'), 'false never');
  assert.is(asked('--pull', '--pull=missing'), 'false missing', 'the last one is used');
  assert.throws(() => requested(['--pull=sometimes', '.']), /"sometimes" is not a value of --pull/);
});

test('--no-cache-filter takes lists of stages, in lower or upper case', () => {
  assert.equal(requested(['--no-cache-filter', 'A,b', '--no-cache-filter=c', '.']).noCache, [
    'a',
    'b',
    'c',
  ]);
});

test('a build argument without a value gets it from the environment, or is left out', () => {
  const args = requested(['--build-arg', 'A=1=2', '--build-arg', 'B', '--build-arg', 'C', '.'], {
    B: 'env',
  }).buildArgs;
  assert.equal(
    [...args],
    [
      ['A', '1=2'],
      ['B', 'env'],
    ],
  );
});

test('SOURCE_DATE_EPOCH comes from a build argument, else from the environment', () => {
  assert.is(requested(['.'], { SOURCE_DATE_EPOCH: '12' }).epoch, 12);
  assert.is(
    requested(['--build-arg', 'SOURCE_DATE_EPOCH=13', '.'], { SOURCE_DATE_EPOCH: '12' }).epoch,
    13,
  );
  assert.is(refused(['--build-arg', 'SOURCE_DATE_EPOCH=1.5', '.']).code, 'KILN_EPOCH_INVALID');
});

test('platforms are normalised and split at commas', () => {
  const { platforms } = requested([
    '--platform',
    'linux/amd64,linux/aarch64',
    '--platform=arm',
    '.',
  ]);
  assert.equal(
    platforms.map((platform) => [platform.architecture, platform.variant]),
    [
      ['amd64', undefined],
      ['arm64', undefined],
      ['arm', 'v7'],
    ],
  );
});

const IMAGE = {
  names: [],
  compression: undefined,
  level: undefined,
  forceCompression: false,
  ociTypes: undefined,
  annotations: [],
  alwaysIndex: false,
  rewriteTimestamp: true,
  marksRewritten: false,
};
const STORED = {
  type: 'image',
  image: IMAGE,
  push: false,
  store: true,
  canonical: false,
  byDigest: false,
};

test('without an output flag the result is an image in the store', () => {
  assert.equal(requested(['.']).outputs, [STORED]);
  assert.equal(requested(['-t', 'a', '.']).outputs, [
    { ...STORED, image: { ...IMAGE, names: [parseReference('a')] } },
  ]);
  assert.equal(requested(['-o', 'type=cacheonly', '.']).outputs, []);
});

test('--push and --load add an output, and --push changes an output of type=image', () => {
  assert.equal(requested(['--push', '.']).outputs, [{ ...STORED, push: true, store: false }]);
  assert.equal(requested(['--push', '-o', 'type=image', '.']).outputs, [{ ...STORED, push: true }]);
  assert.equal(requested(['--push', '-o', 'type=image,push=false', '.']).outputs, [
    { ...STORED, push: true },
  ]);
  assert.equal(requested(['--load', '.']).outputs, [
    { type: 'docker', image: IMAGE, destination: undefined },
  ]);
});

test('--annotation applies to all image outputs and overrides their own annotations', () => {
  const given = [
    '--annotation',
    'a=x',
    '-o',
    'dir',
    '-o',
    'type=oci,dest=o,annotation.a=y,annotation.b=z',
    '.',
  ];
  const { outputs } = requested(given);
  assert.equal(
    outputs.map(
      (output) =>
        'image' in output && output.image.annotations.map(({ key, value }) => `${key}=${value}`),
    ),
    [false, ['a=x', 'b=z']],
  );
});

test('BUILDX_NO_DEFAULT_OCI_ARTIFACT is a default of the outputs that are images', () => {
  const artifacts = (env: Record<string, string>, ...outputs: string[]) =>
    parsedWith(
      [...outputs.map((output) => `--output=${output}`), '.'],
      env,
    ).options.request.outputs.map((output) =>
      'image' in output ? output.image.ociArtifact : 'none',
    );
  const env = { BUILDX_NO_DEFAULT_OCI_ARTIFACT: '1' };
  const outputs = [
    'type=oci,dest=a',
    'type=registry,name=h/i,oci-artifact=true',
    'type=local,dest=b',
  ];
  assert.equal(artifacts(env, ...outputs), [false, true, 'none']);
  assert.equal(artifacts({}, ...outputs), [undefined, true, 'none']);
});

test('--output is parsed as in buildx', () => {
  const outputs = (spec: string) => requested(['--output', spec, '.']).outputs[0];
  assert.equal(outputs('dir'), {
    type: 'local',
    directory: resolve('dir'),
    platformSplit: undefined,
    attestationPrefix: undefined,
  });
  const oci = outputs('type=oci,dest=o.tar,"annotation.a=x,y",compression=zstd');
  assert.ok(oci?.type === 'oci' && oci.tar);
  assert.equal(oci.destination, { kind: 'file', path: resolve('o.tar') });
  assert.equal([oci.image.compression, oci.image.annotations[0]?.value], ['zstd', 'x,y']);
  assert.is(refused(['--output', '-', '.']).code, 'KILN_OUTPUT_INVALID', 'no tar on a terminal');
  assert.is(refused(['--output', 'type=oci', '.']).code, 'KILN_OUTPUT_INVALID');
  assert.is(refused(['--output', 'type=local', '.']).code, 'KILN_OUTPUT_INVALID');
  assert.match(refused(['--output', 'type=imgae', '.']).hint ?? '', 'type=image');
  assert.is(
    refused(['--output', 'type=tar,dest=/dev/stdout', '.']).code,
    'KILN_OUTPUT_INVALID',
    'no tar on a terminal by another name either',
  );
  assert.match(refused(['--output', 'type=tar,dest=/', '.']).message, '/ is a directory');
});

test('the request has only the names of contexts, and the paths are lent', () => {
  const git = 'https://host/a.git#v1';
  const given = ['img=docker-image://alpine', 'dir=sub', `git=${git}`, 'file=https://host/a.tar'];
  const flags = [...given, 'oci=oci-layout://lay:v1'].flatMap((value) => [
    '--build-context',
    value,
  ]);
  const { request, lentPaths } = parse([...flags, 'main']);
  assert.equal(request.context, { kind: 'directory', name: 'context' });
  assert.equal(
    [...request.namedContexts],
    [
      ['img', imageContext('alpine')],
      ['dir', { kind: 'directory', name: 'dir' }],
      ['git', { kind: 'git', url: git, git: gitRefOf(git)! }],
      ['file', { kind: 'http', url: 'https://host/a.tar' }],
      ['oci', { kind: 'oci-layout', name: 'oci', suffix: ':v1' }],
    ],
  );
  assert.equal(
    [...lentPaths],
    [
      ['dir', { kind: 'directory', path: 'sub' }],
      ['oci', { kind: 'oci-layout', path: 'lay' }],
      ['context', { kind: 'directory', path: 'main' }],
    ],
  );
  assert.equal(requested(['-']).context, { kind: 'input' });
  assert.equal(requested(['https://host/a.git']).context, remoteContext('https://host/a.git'));
  const wrong = refused(['--build-context', 'img=docker-image://UPPER', '.']);
  assert.equal([wrong.code, wrong.place?.kind], ['KILN_IMAGE_NAME', 'flag']);
});

test('a secret comes from a file or from the environment', () => {
  assert.equal(parse(['--secret', 'id=a,src=/etc/passwd', '.']).secrets, [
    { id: 'a', source: { kind: 'file', path: '/etc/passwd' } },
  ]);
  assert.equal(parse(['--secret', 'id=a,env=B', '.']).secrets, [
    { id: 'a', source: { kind: 'env', name: 'B' } },
  ]);
  assert.equal(parse(['--secret', 'type=env,id=a', '.']).secrets, [
    { id: 'a', source: { kind: 'env', name: 'a' } },
  ]);
  assert.equal(parse(['--secret', 'id=a', '.'], { a: 'x' }).secrets, [
    { id: 'a', source: { kind: 'env', name: 'a' } },
  ]);
  assert.is(refused(['--secret', 'id=a,src=/nowhere/a', '.']).code, 'KILN_SECRET_NOT_FOUND');
  assert.is(refused(['--secret', 'src=/etc/passwd', '.']).code, 'KILN_FLAG_VALUE');
});

test('--shm-size, --ulimit, --add-host and --network are parsed', () => {
  assert.is(requested(['--shm-size', '128m', '.']).shmSize, 128 << 20);
  assert.equal(requested(['--ulimit', 'nofile=1024:4096', '--ulimit', 'nproc=10', '.']).ulimits, [
    { name: 'nofile', soft: 1024, hard: 4096 },
    { name: 'nproc', soft: 10, hard: 10 },
  ]);
  assert.equal(
    requested(['--add-host', 'a:1.2.3.4', '--add-host', 'b=::1', '--add-host', 'c:[fe80::1]', '.'])
      .extraHosts,
    [
      { host: 'a', ip: '1.2.3.4' },
      { host: 'b', ip: '::1' },
      { host: 'c', ip: 'fe80::1' },
    ],
  );
  assert.is(refused(['--network', 'mars', '.']).code, 'KILN_FLAG_VALUE');
});

test('an unknown flag is a usage error with exit code 2', () => {
  const error = refused(['--tga', 'x', '.']);
  assert.equal([error.code, error.exitCode], ['KILN_USAGE', 2]);
  assert.match(error.message, '--tag');
});

interface Outcome {
  readonly refused?: RegExp;
  readonly warned?: RegExp;
  readonly is?: (request: BuildRequest, options: BuildOptions) => unknown;
}

const refusedWith = (words: RegExp): Outcome => ({ refused: words });
const warnedWith = (words: RegExp): Outcome => ({ warned: words });
const is = (look: NonNullable<Outcome['is']>): Outcome => ({ is: look });
const gateway = /^(?!127\.)\d+\.\d+\.\d+\.\d+$/;
const ipOf = ({ extraHosts }: BuildRequest) => extraHosts[0]?.ip ?? '';

/**
 * A flag with an unusual or wrong value, and what is expected. Docker 28 accepts and refuses the
 * same values.
 */
const ROWS: readonly (readonly [readonly string[], Outcome])[] = [
  [['--label', 'foo'], is(({ labels }) => labels.get('foo') === '')],
  [['--label', '=x'], refusedWith(/has no name/)],
  [['--label', ''], refusedWith(/has no name/)],
  [['--build-arg', ''], refusedWith(/has no name/)],
  [['--build-arg', '=x'], refusedWith(/has no name/)],
  [['--build-arg', 'UNSET'], warnedWith(/UNSET has no effect/)],
  [['--build-arg', 'http_proxy'], is(({ buildArgs }) => buildArgs.size === 0)],
  [['--build-context', 'foo'], refusedWith(/--build-context foo has no source/)],
  [['--build-context', 'foo='], refusedWith(/has no source/)],
  [['--build-context', '=x'], refusedWith(/has no name/)],
  [['--tag', ''], refusedWith(/reference/)],
  [['-t='], refusedWith(/reference/)],
  [['-t=foo'], is(({ tags }) => tags[0] === 'foo')],
  [
    ['-f=Dockerfile'],
    is(({ dockerfile }) => dockerfile.kind === 'file' && dockerfile.name === 'Dockerfile'),
  ],
  [['-f', 'a', '-f', 'b'], warnedWith(/--file is given more than once/)],
  [['-q=true'], is((_, { progress }) => progress === 'quiet')],
  [['-q=yes'], refusedWith(/"yes" is not a value of -q/)],
  [['-qtfoo'], is(({ tags }, { quiet }) => quiet && tags[0] === 'foo')],
  [['--load=yes'], refusedWith(/not a value of --load/)],
  [['--target', ''], warnedWith(/--target has an empty value/)],
  [['--iidfile='], warnedWith(/--iidfile has an empty value/)],
  [['--platform', ''], refusedWith(/platform/)],
  [['--platform', 'linux/amd64,'], refusedWith(/platform/)],
  [['--platform', 'foo'], refusedWith(/platform/)],
  [['--network', 'foo'], refusedWith(/network mode/)],
  [['--add-host', 'foo'], refusedWith(/not NAME:ADDRESS/)],
  [['--add-host', 'foo:'], refusedWith(/not NAME:ADDRESS/)],
  [['--add-host', ':1.2.3.4'], refusedWith(/not NAME:ADDRESS/)],
  [['--add-host', 'foo:notanip'], refusedWith(/not an IP address/)],
  [['--add-host', 'foo:1.2.3'], refusedWith(/not an IP address/)],
  [['--add-host', 'foo:1.2.3.4\n9.9.9.9 evil'], refusedWith(/not an IP address/)],
  [['--add-host', 'a b:1.2.3.4'], refusedWith(/not a host name/)],
  [['--add-host', 'foo:fe80::1%eth0'], refusedWith(/not an IP address/)],
  [['--add-host', ''], warnedWith(/--add-host has an empty value/)],
  [['--add-host', 'foo:10.0.0.1'], is((request) => ipOf(request) === '10.0.0.1')],
  [['--add-host', 'foo=10.0.0.1'], is((request) => ipOf(request) === '10.0.0.1')],
  [['--add-host', 'foo:::1'], is((request) => ipOf(request) === '::1')],
  [['--add-host', 'foo=::1'], is((request) => ipOf(request) === '::1')],
  [['--add-host', 'foo:[::1]'], is((request) => ipOf(request) === '::1')],
  [['--add-host', 'foo=[::1]'], is((request) => ipOf(request) === '::1')],
  [['--add-host', 'a:10.0.0.1,b=::1'], is(({ extraHosts }) => extraHosts.length === 2)],
  [['--add-host', 'foo:host-gateway'], is((request) => gateway.test(ipOf(request)))],
  [['--builder', 'nosuch'], warnedWith(/--builder "nosuch" has no effect/)],
  [['--builder', 'default'], is(() => true)],
  [['--secret', 'id=t,env=UNSET'], warnedWith(/UNSET is not set/)],
  [['--secret', 'foo'], refusedWith(/foo/)],
  [['--secret', 'id=t,foo=bar'], refusedWith(/unexpected key "foo"/)],
  [['--secret', 'id=t,src=nowhere'], refusedWith(/does not exist: nowhere/)],
  [['--secret', 'id=t,src=/'], refusedWith(/is a directory/)],
  [['--secret', 'id=t,env=A', '--secret', 'id=t,env=B'], refusedWith(/given twice/)],
  [['--secret', 'id=t,env=A,env=B'], refusedWith(/"env" is given twice/)],
  [['--secret', 'id=t,src=/etc/passwd,env=A'], refusedWith(/a file and a variable/)],
  [['--secret', 'id=t,env='], refusedWith(/source of the secret t is empty/)],
  [['--secret', 'id=t,src='], refusedWith(/source of the secret t is empty/)],
  [
    ['--ssh', 'default=/a,raw=true'],
    is((_, { ssh }) => ssh[0]?.isRaw && ssh[0].paths.join() === '/a'),
  ],
  [['--ssh', 'default=/a,raw=0'], is((_, { ssh }) => ssh[0]?.isRaw !== true)],
  [['--ssh', 'default=/a,raw=x'], refusedWith(/raw=x is neither true nor false/)],
  [['--ssh', 'default=/a,/b,raw=1'], refusedWith(/needs exactly one socket/)],
  [['--ssh', 'default=raw=true'], refusedWith(/needs exactly one socket/)],
  [['--ssh', '=x'], refusedWith(/does not name an agent/)],
  [['--ssh', 'default='], refusedWith(/does not name an agent/)],
  [['--build-arg', 'A=1', '--build-arg', 'A=2'], warnedWith(/--build-arg A is given more/)],
  [['--build-arg', 'A=1', '--build-arg', 'A=1'], is(({ buildArgs }) => buildArgs.size === 1)],
  [['--label', 'a=1', '--label', 'a=2'], warnedWith(/--label a is given more than once/)],
  [['--build-context', 'a=x', '--build-context', 'a=y'], warnedWith(/--build-context a is/)],
  [['--ulimit', 'foo'], refusedWith(/invalid ulimit/)],
  [['--ulimit', 'foo=1'], refusedWith(/"foo" is not a type of ulimit/)],
  [['--ulimit', 'nofile=2:1'], refusedWith(/above the hard limit/)],
  [['--ulimit', 'nofile=-1:1'], refusedWith(/above the hard limit/)],
  [['--ulimit', 'nofile=1:2,nproc=3'], is(({ ulimits }) => ulimits.length === 2)],
  [['--ulimit', 'nofile=1:-1'], is(({ ulimits }) => ulimits[0]?.hard === -1)],
  [['--ulimit', 'nofile=1', '--ulimit', 'nofile=2'], warnedWith(/--ulimit nofile is given more/)],
  [['--device', 'x'], refusedWith(/"x" is not the name of a device/)],
  [['--device', 'vendor.com/class=name'], is(({ devices }) => devices.length === 1)],
  [['--shm-size', 'foo'], refusedWith(/"foo"/)],
  [['--shm-size', '99999999999999999999'], refusedWith(/not a size that a computer has/)],
  [['--shm-size', '.5k'], is(({ shmSize }) => shmSize === 512)],
  [['--shm-size', '1500'], is(({ shmSize }) => shmSize === 1500)],
  [['--cpu-quota', '5'], refusedWith(/less than the kernel allows/)],
  [['--cpu-quota', '-1'], is(({ limits }) => limits?.cpuQuota === -1)],
  [['--cpu-quota', '0x4_000'], is(({ limits }) => limits?.cpuQuota === 0x4000)],
  [['-c=010'], is(({ limits }) => limits?.cpuShares === 8)],
  [['--cpu-shares', '1e3'], refusedWith(/"1e3" is not a valid value/)],
  [['--cpuset-cpus', '1-0'], refusedWith(/"1-0" is not a list/)],
  [['--cpuset-cpus', '0-1,3'], is(({ limits }) => limits?.cpusetCpus === '0-1,3')],
  [['--shm-size', ''], refusedWith(/""/)],
  [['--memory', 'foo'], refusedWith(/"foo"/)],
  [['--resource', 'memory=64m', '--memory=1g'], is(({ limits }) => limits?.memory === 64 << 20)],
  [
    ['--resource= memory = 64m ', '--resource=memory-swap=-1', '--resource=cpu-shares=5'],
    is(({ limits }) => limits?.memorySwap === -1 && limits.cpuShares === 5),
  ],
  [['--resource=cpu-quota=-5', '--resource=memory=0'], is(({ limits }) => limits === undefined)],
  [
    ['--resource=cpuset-cpus=0', '--resource=cpuset-cpus=0-1'],
    is(({ limits }) => limits?.cpusetCpus === '0-1'),
  ],
  [['--build-arg', 'BUILDKIT_SYNTAX='], refusedWith(/BUILDKIT_SYNTAX is empty/)],
  [
    ['--build-arg=BUILDKIT_MULTI_PLATFORM=1', '-o', 'type=oci,dest=a'],
    is(({ outputs: [output] }) => output?.type === 'oci' && output.image.alwaysIndex),
  ],
  [['--provenance=mode=full'], is(({ attest }) => attest.provenance?.mode === 'max')],
  [['--provenance=filename=p.json'], is((one) => one.attest.provenance?.fileName === 'p.json')],
  [['--attest=type=provenance,FileName=..'], refusedWith(/"\.\." is not the name of a file/)],
  [['--provenance=filename=a/b'], refusedWith(/"a\/b" is not the name of a file/)],
  [['--provenance=complete-materials=true'], refusedWith(/complete-materials=true is not supp/)],
  [['--provenance=capture-usage=1'], refusedWith(/capture-usage=true is not supported/)],
  [['--provenance=capture-usage=0'], is(({ attest }) => attest.provenance?.mode === 'min')],
  [['--call=check,format=yaml'], refusedWith(/format=yaml is neither json nor text/)],
  [['-o', 'type=image,oci-mediatypes='], refusedWith(/oci-mediatypes is neither true nor false/)],
  [['-o', 'type=image,unpack=maybe'], refusedWith(/unpack=maybe is neither true nor false/)],
  [['-o', 'type=image,dangling-name-prefix=x'], refusedWith(/unknown attribute "dangling-name/)],
  [['--cache-to=type=inline,mode=max'], warnedWith(/mode=max of .* has no effect/)],
  [['--cache-to=type=inline,mode=most'], refusedWith(/unknown mode "most"/)],
  [['--annotation=image:a=b'], refusedWith(/there is no target "image"/)],
  [['--annotation=index[linux/amd64],foo:a=b'], refusedWith(/there is no target "foo"/)],
  [['--policy', 'disabled=true'], is(({ policyFile }) => policyFile === 'ignored')],
  [['--policy', 'Reset=true,log-level=debug'], is(({ policyFile }) => policyFile === 'ignored')],
  [['--policy', 'strict=true'], is(({ policyFile }) => policyFile === 'refused')],
  [['--policy', 'filename=a.rego'], refusedWith(/a\.rego holds .* cannot evaluate Rego/)],
  [['--policy', 'filename=a.rego', '--policy=reset=1'], is((one) => one.policyFile === 'ignored')],
  [['--policy', 'reset=1,filename=a.rego'], refusedWith(/a\.rego holds/)],
  [['--policy', 'disabled=true', '--policy=strict=true'], refusedWith(/cannot be combined/)],
  [['--policy', 'disabled=true,filename=x'], refusedWith(/cannot be combined with filename=/)],
  [['--policy', 'log-level=loud'], refusedWith(/"loud" is not a level/)],
  [['--policy', 'file=x'], refusedWith(/invalid value file=x/)],
  [['--policy', 'Dockerfile.rego'], refusedWith(/invalid value Dockerfile\.rego/)],
  [['--resource', 'memory'], refusedWith(/invalid resource "memory", expected key=value/)],
  [['--resource', 'memry=1g'], refusedWith(/unknown resource "memry" \(did you mean memory/)],
  [['--resource', 'cpu-shares=1g'], refusedWith(/invalid value "1g" for resource cpu-shares/)],
  [['--resource', 'memory=64m,cpu-shares=5'], refusedWith(/invalid value "64m,cpu-shares=5"/)],
  [['--cpus', 'foo'], refusedWith(/"foo"/)],
  [['--max-parallelism', 'foo'], refusedWith(/"foo"/)],
  [['--allow', 'foo'], refusedWith(/"foo" is not an entitlement/)],
  [['--allow', 'device=vendor.com/gpu=0'], is(({ allow }) => allow.length === 1)],
  [['--annotation', 'foo'], refusedWith(/it has no value/)],
  [['--annotation', 'a=b', '-o', 'dir'], warnedWith(/--annotation has no effect/)],
  [['--annotation', 'a=b', '-o', 'type=oci,dest=x'], is(() => true)],
  [['--annotation', 'manifest[bogus]:a=b'], refusedWith(/"bogus" is not a platform/)],
  [['--output', 'type=oci,dest=a,dest=b'], refusedWith(/"dest" is given twice/)],
  [['--output', 'type=oci,type=tar,dest=a'], refusedWith(/"type" is given twice/)],
  [['--output', 'type=cacheonly,dest=a'], refusedWith(/type=cacheonly takes no dest/)],
  [['--output', 'type=image,name=A'], refusedWith(/must be lower-case/)],
  [['--output', 'type=image,push-by-digest=true,name=A'], refusedWith(/must be lower-case/)],
  [['-t', 'a', '-o', 'dir'], warnedWith(/--tag a has no effect: no output .* is an image/)],
  [['-t', 'a', '-o', 'type=cacheonly'], warnedWith(/--tag a has no effect/)],
  [['-t', 'a', '-o', 'type=image,name=b'], warnedWith(/--tag a has no effect: each image is/)],
  [['-t', 'a', '-o', 'type=oci,dest=x', '-o', 'dir'], is(() => true)],
  [['--cache-to', 'type=local,dest=a,dest=b'], refusedWith(/"dest" is given twice/)],
  [['--attest', 'type=sbom,type=provenance'], refusedWith(/"type" is given twice/)],
  [['--call', 'check,ignorestatus=maybe'], refusedWith(/neither true nor false/)],
  [['--check', '--call', 'outline'], refusedWith(/cannot be used together/)],
  [['--check', '--call', 'check,format=json'], is((_, { call }) => call?.format === 'json')],
  [['--output', 'foo=bar'], refusedWith(/type is required/)],
  [['--output', 'type=foo'], refusedWith(/unknown output type/)],
  [['--output', ''], warnedWith(/--output has an empty value/)],
  [['--cache-from', 'type=foo'], refusedWith(/unknown type/)],
  [['--cache-to', 'type=foo'], refusedWith(/unknown type/)],
  [['--progress', 'foo'], refusedWith(/--progress is "foo"/)],
  [['--call', 'foo'], refusedWith(/"foo" is not a method of --call/)],
  [['--attest', 'type=foo'], refusedWith(/unknown type "foo"/)],
  [['--provenance', 'foo'], refusedWith(/foo/)],
  [['--sbom', 'foo'], refusedWith(/foo/)],
  [['--no-cache', '--no-cache-filter', 'x'], refusedWith(/cannot be used together/)],
  [['--isolation', 'foo'], warnedWith(/--isolation has no effect/)],
  [['--security-opt', 'foo'], warnedWith(/--security-opt has no effect/)],
  [
    ['--check', '--push', '--metadata-file', 'm'],
    warnedWith(/--check builds nothing: --push, --metadata-file have no effect/),
  ],
  [['--call', 'outline', '-o', 'dir'], warnedWith(/--call builds nothing: --output has no effect/)],
  [['--check', '-t', 'x'], is(() => true)],
  [['--compress'], warnedWith(/--compress has no effect/)],
  [['--compress=false'], is(() => true)],
  [['--nosuch'], refusedWith(/unknown option '--nosuch'/)],
  [['--no-cach'], refusedWith(/Did you mean --no-cache\?/)],
  [['-z'], refusedWith(/unknown option '-z'/)],
  [['-t'], refusedWith(/missing required argument/)],
  [['extra'], refusedWith(/too many arguments/)],
];

for (const [words, { refused: why, warned, is: look }] of ROWS) {
  const outcome = why ? 'refused' : warned ? 'accepted with a warning' : 'accepted';
  test(`${words.join(' ')} is ${outcome}`, () => {
    if (why) {
      const error = refused([...words, '.']);
      assert.match(error.message, why);
      assert.is(error.exitCode, 2);
      return;
    }
    const { options, warnings } = parsedWith([...words, '.']);
    if (warned) assert.match(warnings.join('\n'), warned);
    else assert.equal(warnings, []);
    if (look) assert.ok(look(options.request, options));
  });
}

test('an empty context is not the current directory', () => {
  assert.match(refused(['']).message, 'argument is empty');
});

test('BUILDKIT_PROGRESS is the default of --progress, and an unknown type is refused', () => {
  assert.is(parse(['.'], { BUILDKIT_PROGRESS: 'rawjson' }).progress, 'rawjson');
  assert.is(parse(['.'], { BUILDKIT_PROGRESS: '' }).progress, 'auto');
  assert.is(parse(['--progress=plain', '.'], { BUILDKIT_PROGRESS: 'bogus' }).progress, 'plain');
  assert.is(parse(['-q', '.'], { BUILDKIT_PROGRESS: 'plain' }).progress, 'quiet');
  assert.throws(() => parse(['.'], { BUILDKIT_PROGRESS: 'bogus' }), /BUILDKIT_PROGRESS is "bogus"/);
});

const WITHOUT_EFFECT: readonly (readonly [string, string, readonly string[]])[] = [
  ['BUILDX_BUILDER', 'other', []],
  ['DOCKER_BUILDKIT', '0', []],
  ['DOCKER_CONTENT_TRUST', '1', []],
  ['BUILDX_DEFAULT_POLICY', '1', []],
];

for (const [name, value, flags] of WITHOUT_EFFECT) {
  test(`${name}=${value} gives a warning that it has no effect`, () => {
    assert.match(parsedWith([...flags, '.'], { [name]: value }).warnings.join(), `${name}`);
    assert.equal(parsedWith([...flags, '.'], { [name]: '' }).warnings, []);
  });
}

test('DOCKER_BUILDKIT=1 and BUILDX_NO_DEFAULT_ATTESTATIONS give no warning', () => {
  assert.equal(
    parsedWith(['.'], { DOCKER_BUILDKIT: '1', BUILDX_NO_DEFAULT_ATTESTATIONS: '1' }).warnings,
    [],
  );
});

test('a builder elsewhere that fetches the context looks for no policy, and that is said', () => {
  const told = (...flags: string[]) => {
    const words = ['--builder=tcp://h:1', '-o', 'type=cacheonly', ...flags, 'https://h/a.git'];
    return parsedWith(words).warnings.filter((sentence) => /policy/.test(sentence));
  };
  assert.match(told().join(), /no policy .* Dockerfile of https:\/\/h\/a\.git: tcp:/);
  assert.equal(told('--policy=disabled=true'), []);
  assert.equal(told('-f', '-'), []);
});

test.run();
