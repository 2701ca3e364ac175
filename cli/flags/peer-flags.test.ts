import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { parseBuildFlags } from './build-flags.ts';
import { FIXED_FLAGS } from './podman-fixed.ts';
import { REFUSED_FLAGS } from './podman-refused.ts';

/*
 * Every flag that other builders have, and what `kiln build` makes of it. The lists in `testing/`
 * are from their helps. A flag that is in a list but not in the table fails, and so does a row that
 * is in no list. Each row runs through the parser of `kiln build`, so that no flag is taken without
 * an effect or a word.
 */

const DIRECTORY = realpathSync(mkdtempSync(join(tmpdir(), 'kiln-flags-')));
process.once('exit', () => rmSync(DIRECTORY, { recursive: true, force: true }));
mkdirSync(join(DIRECTORY, 'lib'));
const FILE = join(DIRECTORY, 'file');
writeFileSync(FILE, 'FROM_FILE=1\n');
process.chdir(DIRECTORY);

type Verdict =
  /** The flag means the same. `changes` are the fields of the options that it changes. */
  | { readonly kind: 'same'; readonly value?: string; readonly changes: readonly string[] }
  /** The same, or more than that: `why` says what is better. */
  | {
      readonly kind: 'better';
      readonly why: string;
      readonly value?: string;
      readonly changes: readonly string[];
    }
  /** It changes nothing, because Kiln does what it says in any case. */
  | { readonly kind: 'already'; readonly value?: string }
  /** It has no effect, and a warning says so. */
  | { readonly kind: 'told'; readonly value?: string }
  /** It is an error with a code and a next step. */
  | { readonly kind: 'refused'; readonly value?: string };

const same = (value: string | undefined, ...changes: string[]): Verdict => ({
  kind: 'same',
  ...(value !== undefined && { value }),
  changes,
});
const better = (why: string, value: string | undefined, ...changes: string[]): Verdict => ({
  kind: 'better',
  why,
  ...(value !== undefined && { value }),
  changes,
});
const already = (value?: string): Verdict => ({
  kind: 'already',
  ...(value !== undefined && { value }),
});
const told = (value?: string): Verdict => ({ kind: 'told', ...(value !== undefined && { value }) });

/** The flags of docker, which mean the same in buildah, and those that only buildah has. */
const TABLE: Readonly<Record<string, Verdict>> = {
  '--add-host': better('host-gateway is known without a daemon', 'db:10.0.0.5', 'extraHosts'),
  '--allow': same('network.host', 'allow'),
  '--annotation': same('a=b', 'outputs'),
  '--attest': same('type=sbom', 'attest'),
  '--build-arg': better('a name that no ARG takes is told', 'A=b', 'buildArgs'),
  '--build-context': better(
    'a name that is not used is told',
    'n=lib',
    'namedContexts',
    'lentPaths',
  ),
  '--builder': better('it is the address of a server', 'unix:///run/x.sock', 'builder', 'outputs'),
  '--cache-from': same('user/app:cache', 'cacheFrom'),
  '--cache-to': better('a failed build keeps its steps, too', 'user/app:cache', 'cacheTo'),
  '--call': better('an outline lists cache mounts', 'outline', 'call'),
  '--cgroup-parent': same('kiln/x', 'cgroupParent'),
  '--check': better('fourteen checks more', undefined, 'call'),
  '--compress': told(),
  '--cpu-period': better('BuildKit ignores it', '50000', 'limits'),
  '--cpu-quota': better('BuildKit ignores it', '50000', 'limits'),
  '--cpu-shares': better('BuildKit ignores it', '512', 'limits'),
  '--cpuset-cpus': better('BuildKit ignores it', '0-1', 'limits'),
  '--cpuset-mems': better('BuildKit ignores it', '0', 'limits'),
  '--debug': told(),
  '--disable-content-trust': already(),
  '--file': better('Containerfile is found, too', 'F', 'dockerfile'),
  '--force-rm': already(),
  '--iidfile': same('id', 'iidFile'),
  '--isolation': told('default'),
  '--label': same('a=b', 'labels'),
  '--load': better('loads into the local store, and into an engine', undefined, 'outputs'),
  '--memory': better('BuildKit ignores it', '64m', 'limits'),
  '--memory-swap': better('BuildKit ignores it', '64m', 'limits'),
  '--metadata-file': same('m.json', 'metadataFile'),
  '--network': same('none', 'network'),
  '--no-cache': same(undefined, 'noCache'),
  '--no-cache-filter': better('an unknown stage is told', 'a,b', 'noCache'),
  '--output': same('type=local,dest=out', 'outputs'),
  '--platform': same('linux/arm64', 'platforms'),
  '--progress': same('plain', 'progress'),
  '--provenance': better('as SLSA v1', 'mode=max', 'attest'),
  '--pull': better("podman's words are taken, too", undefined, 'pull'),
  '--push': same(undefined, 'outputs'),
  '--quiet': same(undefined, 'quiet', 'progress'),
  '--policy': same('disabled=true', 'policyFile'),
  '--resource': better('it is checked before the build', 'memory=64m', 'limits'),
  '--rm': already(),
  '--sbom': better('needs no scanner image', 'true', 'attest'),
  '--secret': better('standard input and pipes, too', 'id=s,src=file', 'secrets'),
  '--security-opt': told('seccomp=unconfined'),
  '--shm-size': same('64m', 'shmSize'),
  '--squash': better('BuildKit ignores it', undefined, 'squash'),
  '--ssh': same('a=file', 'ssh'),
  '--tag': better('a name that is not used is told', 'app', 'tags', 'outputs'),
  '--target': same('t', 'target'),
  '--ulimit': same('nofile=10:20', 'ulimits'),

  // Of buildah and podman only.
  '--arch': same('arm64', 'platforms'),
  '--authfile': same('file', 'authFile'),
  '--build-arg-file': same('file', 'buildArgs'),
  '--cgroupns': already('private'),
  '--created-annotation': already('false'),
  '--device': same('vendor.com/class=name', 'devices'),
  '--disable-compression': already(),
  '--format': same('docker', 'outputs'),
  '--http-proxy': better('the image does not tell the proxies', undefined, 'proxies'),
  '--identity-label': already('false'),
  '--ignorefile': same('file', 'ignoreFile'),
  '--inherit-annotations': already('false'),
  '--inherit-labels': already('true'),
  '--ipc': already('private'),
  '--jobs': better('steps of one stage run at once, too', '3', 'parallelism'),
  '--layers': better('steps are cached in any case', 'false', 'squash'),
  '--os': same('linux', 'platforms'),
  '--pid': already('private'),
  '--retry': told('2'),
  '--retry-delay': told('2s'),
  '--rewrite-timestamp': better('is the default', 'false', 'outputs'),
  '--skip-unused-stages': already('true'),
  '--source-date-epoch': same('12', 'buildArgs', 'epoch'),
  '--timestamp': better('files that are older keep their times', '12', 'buildArgs', 'epoch'),
  '--tls-verify': same('false', 'tlsVerify'),
  '--userns': already('host'),
  '--uts': already('private'),
  '--variant': same('v3', 'platforms'),
  '--volume': better(
    'a change of the files runs the steps again',
    './lib:/lib:ro',
    'volumes',
    'namedContexts',
    'lentPaths',
  ),
  ...Object.fromEntries(
    Object.keys(REFUSED_FLAGS).map((flag) => [flag, { kind: 'refused', value: 'x' } as const]),
  ),
};

/** What a flag needs beside it. */
const BESIDE: Readonly<Record<string, readonly string[]>> = {
  '--annotation': [],
  '--memory-swap': ['--memory=32m'],
  '--push': ['--tag=a/b'],
  '--volume': [`--allow=fs.read=${DIRECTORY}`],
};

interface PeerFlag {
  readonly flag: string;
  readonly short: string | undefined;
  readonly takesValue: boolean;
}

function flagsOf(list: string): readonly PeerFlag[] {
  const text = readFileSync(new URL(`./testing/${list}.txt`, import.meta.url), 'utf8');
  return text.split('\n').flatMap((line) => {
    const [, short, flag, value] = /^(?:(-\w), )?(--[\w-]+)(.*)$/.exec(line) ?? [];
    return flag === undefined ? [] : [{ flag, short, takesValue: /^ \S/.test(value ?? '') }];
  });
}

const LISTS = ['buildx', 'docker', 'buildah'];

const ENV = { HTTP_PROXY: 'http://proxy:1' };

/** The options by name. Those of the request are beside the others. */
function parsed(words: readonly string[]) {
  const found = parseBuildFlags([...words, '.'], { env: ENV, stdoutIsTerminal: false });
  if (!found) throw new Error(`${words.join(' ')} asks for help`);
  const { request, ...options } = found.options;
  return { options: { ...options, ...request } as Record<string, unknown>, told: found.warnings };
}

function changed(words: readonly string[], beside: readonly string[]): string[] {
  const { options: before } = parsed(beside);
  const { options } = parsed([...beside, ...words]);
  return Object.keys(options).filter((name) => !isDeepStrictEqual(options[name], before[name]));
}

test('the table has each flag of the helps, and no other', () => {
  const all = new Set(LISTS.flatMap((list) => flagsOf(list).map(({ flag }) => flag)));
  assert.equal(Object.keys(TABLE).sort(), [...all].sort());
});

for (const list of LISTS)
  for (const { flag, short, takesValue } of flagsOf(list)) {
    const verdict = TABLE[flag];
    if (!verdict) continue;
    const beside = BESIDE[flag] ?? [];
    const { value } = verdict;
    const long = value === undefined ? flag : `${flag}=${value}`;

    if (verdict.kind === 'refused')
      test(`${list}: ${flag} is refused with what to do instead`, () => {
        for (const words of [[flag, 'x'], [`${flag}=x`]])
          try {
            parsed(words);
            assert.unreachable(`${words} is taken`);
          } catch (error) {
            assert.instance(error, KilnError);
            assert.is((error as KilnError).code, 'KILN_FLAG_UNSUPPORTED');
            assert.is((error as KilnError).exitCode, 2);
            assert.equal((error as KilnError).place, { kind: 'flag', flag });
            assert.ok(((error as KilnError).hint ?? '').length > 10);
          }
      });
    else if (verdict.kind === 'told')
      test(`${list}: ${flag} has no effect, and a warning says so`, () => {
        assert.equal(changed([long], beside), []);
        assert.match(parsed([long]).told.join('\n'), `${flag} has no effect: `);
      });
    else {
      const changes = verdict.kind === 'already' ? [] : [...verdict.changes].sort();
      test(`${list}: ${flag} changes ${changes.join() || 'nothing'}`, () => {
        assert.equal(changed([long], beside).sort(), changes);
        const told = parsed([...beside, long]).told.filter((sentence) => sentence.includes(flag));
        assert.equal(told, [], 'a flag with an effect needs no warning');
        const { options } = parsed([...beside, long]);
        for (const words of otherForms(flag, short, value, takesValue))
          assert.equal(parsed([...beside, ...words]).options, options, words.join(' '));
      });
    }
  }

/** The other ways to write a flag that pflag takes. */
function otherForms(
  flag: string,
  short: string | undefined,
  value: string | undefined,
  takesValue: boolean,
): string[][] {
  // Of buildah, -D is another flag than docker's.
  const letter = flag === '--disable-compression' ? undefined : short;
  if (value === undefined)
    return [
      [`${flag}=true`],
      [`${flag}=1`],
      [`${flag}=T`],
      [`${flag}=false`, flag],
      ...(letter ? [[letter], [`${letter}=true`]] : []),
    ];
  return [
    ...(takesValue && !Object.hasOwn(FIXED_FLAGS, flag) ? [[flag, value]] : []),
    ...(letter && takesValue
      ? [[letter, value], [`${letter}${value}`], [`${letter}=${value}`]]
      : []),
  ];
}

test('a flag of podman that has one value is refused with another', () => {
  for (const flag of Object.keys(FIXED_FLAGS)) {
    if (flag === '--disable-compression') continue;
    const opposite = /true/.test(FIXED_FLAGS[flag]?.values.join() ?? '') ? 'false' : 'true';
    assert.throws(
      () => parsed([`${flag}=${opposite}`]),
      (error: unknown) =>
        error instanceof KilnError && error.code === 'KILN_FLAG_UNSUPPORTED' && !!error.hint,
      flag,
    );
  }
});

test.run();
