import { existsSync, symlinkSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig } from './rig.ts';

test('short flags are read as Docker reads them', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  for (const words of [
    ['-t=one'],
    ['-qt=two'],
    ['-qtthree'],
    ['-q=true', '-t', 'four'],
    ['-f=c/Dockerfile', '-tfive', '-q=0'],
  ])
    await rig.kiln(['build', ...words, 'c'], { expect: 0 });
  const { stdout } = await rig.kiln(['images'], { expect: 0 });
  for (const name of ['one', 'two', 'three', 'four', 'five'])
    assert.match(stdout, new RegExp(`^${name} `, 'm'));
});

test('a flag without effect is reported before the first step', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch AS made\nCOPY Dockerfile /\n' });
  const { stderr } = await rig.kiln(
    ['build', '--progress=plain', '--builder', 'other', '--target=', 'c'],
    { expect: 0 },
  );
  const first = stderr.indexOf('#1 ');
  for (const flag of ['--builder', '--target'])
    assert.ok(
      stderr.search(new RegExp(`^WARNING: ${flag}`, 'm')) < first &&
        stderr.includes(`WARNING: ${flag}`),
      stderr,
    );
  const push = await rig.kiln(['build', '--progress=plain', '--push', 'c'], { expect: 2 });
  assert.match(push.stderr, 'a push needs a name');
  assert.not.match(push.stderr, /^#\d/m);
  const events = await rig.kiln(['build', '--progress=rawjson', '--builder', 'other', 'c'], {
    expect: 0,
  });
  for (const line of events.stderr.trim().split('\n')) JSON.parse(line);
  const named = await rig.kiln(
    ['build', '--no-cache-filter=nosuch,made', '--build-context', 'elsewhere=c', 'c'],
    { expect: 0 },
  );
  assert.match(named.stderr, '--no-cache-filter [nosuch] has no effect');
  assert.match(named.stderr, '--build-context [elsewhere] has no effect');
});

test('directives without effect are reported, and BUILDKIT_SYNTAX takes precedence', async () => {
  await using rig = await Rig.create();
  const text = (line: string) =>
    `# syntax=${line}\n# check=skip=Nothing\nFROM scratch\nCOPY Dockerfile /\n`;
  const build = async (line: string, ...words: string[]) => {
    rig.write('c', { Dockerfile: text(line) });
    return (await rig.kiln(['build', ...words, 'c'], { expect: 0 })).stderr;
  };
  assert.match(await build('docker/dockerfile:99'), 'is used for the syntax docker/dockerfile:99');
  const usual = await build('docker/dockerfile:1');
  assert.not.match(usual, 'the syntax');
  assert.match(usual, 'there is no check named "Nothing"');
  assert.not.match(
    await build('acme.invalid/custom', '--build-arg', 'BUILDKIT_SYNTAX=docker/dockerfile:1'),
    'the syntax',
  );
  const check = await rig.kiln(['build', '--check', 'c']);
  assert.match(check.stderr, 'KILN_REGISTRY_UNREACHABLE');
});

test('a secret whose variable is not set is a warning, or an error if required', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=t,required=true cat /run/secrets/t\n',
  });
  const { stderr } = await rig.kiln(['build', '--secret', 'id=t,env=KILN_TEST_UNSET', 'c'], {
    expect: 1,
  });
  assert.match(stderr, 'WARNING: the variable KILN_TEST_UNSET is not set');
  assert.match(stderr, /hint: set the variable \w+, and export it, before the build/);
});

test('--add-host with host-gateway is an outer address of this host, not loopback', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN cat /etc/hosts > /hosts\n' });
  await rig.build(
    'c',
    '-t',
    'made',
    '--add-host',
    'gateway=host-gateway',
    '--add-host',
    'six:[fd00::1]',
  );
  const { stdout } = await rig.kiln(['run', 'made', 'cat', '/hosts'], { expect: 0 });
  const address = /^(\S+)\tgateway$/m.exec(stdout)?.[1];
  const own = Object.values(networkInterfaces()).flatMap((found) => found ?? []);
  assert.ok(
    own.some((one) => one.address === address && !one.internal),
    stdout,
  );
  assert.match(stdout, 'fd00::1\tsix\n');
});

test('BUILDKIT_PROGRESS applies to every command with progress, or is refused', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  await rig.kiln(['build', '-q', '-t', 'made', '-o', 'type=oci,dest=made.tar', 'c'], { expect: 0 });
  const commands = [
    ['build', 'c'],
    ['load', '-i', 'made.tar'],
    ['copy', 'oci-archive:made.tar', 'oci:out'],
  ];
  for (const words of commands) {
    const shown = (value: string, expect = 0) =>
      rig.kiln(words, { expect, env: { BUILDKIT_PROGRESS: value } });
    for (const line of (await shown('rawjson')).stderr.trim().split('\n')) JSON.parse(line);
    assert.is((await shown('quiet')).stderr, '', words[0]);
    assert.match((await shown('plain')).stderr, '#1 ', words[0]);
    assert.match((await shown('bogus', 2)).stderr, 'BUILDKIT_PROGRESS is "bogus"', words[0]);
  }
});

/** Arguments that are invalid or without effect. Each is refused before anything is done. */
const REFUSED: readonly (readonly [string, RegExp])[] = [
  ['du --format foo', /Allowed choices are json/],
  ['du --filter nosuch=1', /not a valid filter/],
  ['cache ls --format foo', /Allowed choices are json/],
  ['prune -f --reserved-space foo', /not a size/],
  [
    'prune -f --reserved-space 1g --keep-storage 2g',
    /--keep-storage and --reserved-space cannot be used together/,
  ],
  ['prune --auto --all', /--auto and --all cannot be used together/],
  ['prune --auto --filter type=regular', /--auto and --filter cannot be used together/],
  ['logs --json --usage', /--json and --usage cannot be used together/],
  ['logs --list some', /--list lists all builds/],
  ['images a b', /too many arguments/],
  ['pull -q=x foo', /"x" is not a value of -q/],
  ['pull --platform= foo', /--platform has an empty value/],
  ['load -i=', /no such directory or archive|empty value/],
  ['load --input=', /--input has an empty value/],
  ['imagetools create --dry-run --prefer-index foo x', /Allowed choices/],
  ['imagetools create --dry-run --progress foo x', /--progress is "foo"/],
  ['--root /x images', /write flags after the command/],
];

for (const [words, sentence] of REFUSED) {
  test(`kiln ${words} is refused`, async () => {
    await using rig = await Rig.create();
    const ran = await rig.kiln(words.split(' '));
    assert.not.equal([0, 70].includes(ran.code ?? 0), true, ran.stderr);
    assert.match(ran.stderr, sentence);
  });
}

test('two results of a build cannot go to one place', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  for (const [words, message] of [
    [['-o', 'type=oci,dest=m', '-o', 'type=tar,dest=m'], 'two outputs are to be written to'],
    [['-o', '-', '-o', 'type=oci,dest=/dev/stdout'], 'two outputs are to be written to standard'],
    [['-o', 'type=oci,dest=m', '--iidfile', './m'], '--iidfile and --output are both'],
    [['--iidfile', 'm', '--metadata-file', 'm'], '--metadata-file and --iidfile are both'],
  ] as const) {
    const { stderr } = await rig.kiln(['build', '--progress=plain', ...words, 'c'], { expect: 2 });
    assert.match(stderr, message);
    assert.not.match(stderr, /^#\d/m);
  }
  assert.not(existsSync(rig.path('m')));
});

test('an output path that leads to itself, or to a missing directory, is named', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  symlinkSync('loop', rig.path('loop'));
  symlinkSync('/no/such/file', rig.path('dangling'));
  for (const type of ['oci', 'docker', 'tar']) {
    const loop = await rig.kiln(['build', '-o', `type=${type},dest=loop`, 'c'], { expect: 1 });
    assert.match(loop.stderr, /loop cannot be written: it is .* itself.*KILN_OUTPUT_UNWRITABLE/);
    const nowhere = await rig.kiln(['build', '-o', `type=${type},dest=dangling`, 'c'], {
      expect: 2,
    });
    assert.match(
      nowhere.stderr,
      /the directory \/no\/such for the output .*dangling does not exist/,
    );
  }
});

test('an empty argument is refused', async () => {
  await using rig = await Rig.create();
  for (const words of [
    ['pull', ''],
    ['rmi', ''],
    ['logout', ''],
    ['build', ''],
  ]) {
    const { stderr } = await rig.kiln(words, { expect: 2 });
    assert.match(stderr, 'an argument is empty');
  }
});

test('kiln run passes the words after the image to the container', async () => {
  await using rig = await Rig.create('busybox');
  const { stdout } = await rig.kiln(
    ['run', '-t=false', 'busybox', 'echo', '--quiet=true', '-t=x', '--rm=false'],
    { expect: 0 },
  );
  assert.is(stdout, '--quiet=true -t=x --rm=false\n');
  const wrong = await rig.kiln(['run', '--network', 'foo', 'busybox', 'true'], { expect: 2 });
  assert.match(wrong.stderr, 'network mode "foo"');
  const nameless = await rig.kiln(['run', '-e', '=x', 'busybox', 'true'], { expect: 2 });
  assert.match(nameless.stderr, '"=x" has no name');
  const nothing = await rig.kiln(['run', '--entrypoint=', 'busybox'], { expect: 2 });
  assert.match(nothing.stderr, 'no command is given');
});

test('what is wrong with a filter or a template is told in its own words', async () => {
  await using rig = await Rig.create();
  for (const [words, message] of [
    [['du', '--filter', 'inuse=maybe'], '"inuse=maybe" is not a valid filter'],
    [['image', 'prune', '-f', '--filter', 'bogus=x'], '"bogus=x" is not a valid filter'],
    [['imagetools', 'inspect', '--format', '{{', 'localhost:1/x'], 'an action is not closed'],
    [['copy', 'oci-archive:-', 'store:x'], 'cannot be standard input'],
  ] as const)
    assert.match((await rig.kiln(words, { expect: 2 })).stderr, message);
});

test.run();
