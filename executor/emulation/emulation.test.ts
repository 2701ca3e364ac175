import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { failure } from '../../base/testing/failure.ts';
import {
  BINFMT,
  parseRegistration,
  readRegistrations,
  registerLine,
  registrationFor,
} from './binfmt.ts';
import { elfHeader, isStatic, machineOf } from './elf.ts';
import { createEmulation } from './emulation.ts';
import { armProgram, findEmulator, isNative } from './find-emulator.ts';

const test = suite('emulation');
let directory: string;
test.before(() => {
  directory = mkdtempSync(join(tmpdir(), 'kiln-emulation-'));
});
test.after(() => rmSync(directory, { recursive: true, force: true }));

const arm64 = { os: 'linux', architecture: 'arm64' };
const machine = machineOf('arm64')!;
const foreign = isNative('arm64') ? { os: 'linux', architecture: 'riscv64' } : arm64;
const emulator = findEmulator(machineOf(foreign.architecture)!);
const canPrivate = process.getuid?.() === 0 && emulator !== undefined;
if (!canPrivate) console.log('SKIP private emulation: needs root and qemu-user-static');

const ENTRY = (flags: string, state = 'enabled') =>
  `${state}\ninterpreter /usr/bin/qemu-aarch64-static\nflags: ${flags}\noffset 0\n` +
  'magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n';

test('an entry matches its programs, both executables and position-independent ones', () => {
  const entry = parseRegistration(ENTRY('POCF'))!;
  assert.is(entry.flags, 'POCF');
  assert.is(registrationFor([entry], machine), entry);
  assert.is(registrationFor([entry], machineOf('arm')!), undefined);
  assert.is(registrationFor([parseRegistration(ENTRY('F', 'disabled'))!], machine), undefined);
});

test('an entry by file name is ignored', () => {
  assert.is(
    parseRegistration('enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n'),
    undefined,
  );
});

test('the registration is the same as that of QEMU', () => {
  assert.is(
    registerLine('kiln-aarch64', machine, '/q'),
    ':kiln-aarch64:M::' +
      String.raw`\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00` +
      String.raw`\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:` +
      String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff` +
      String.raw`\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:` +
      '/q:POCF',
  );
  assert.is(
    elfHeader(machineOf('s390x')!).toString('hex'),
    '7f454c46020201000000000000000000' + '00020016',
  );
});

test('a table that is switched off is ignored', () => {
  const table = join(directory, 'off');
  mkdirSync(table);
  writeFileSync(join(table, 'status'), 'disabled\n');
  writeFileSync(join(table, 'qemu-aarch64'), ENTRY('F'));
  assert.equal(readRegistrations(table), []);
  writeFileSync(join(table, 'status'), 'enabled\n');
  assert.is(readRegistrations(table).length, 1);
});

test('native programs need no emulation', async () => {
  assert.ok(isNative('386', 'amd64'));
  assert.not.ok(isNative('arm64', 'amd64'));
  assert.not.ok(isNative('amd64', 'arm64'));
  const emulation = createEmulation(directory, {});
  const { architecture } = isNative('amd64')
    ? { architecture: 'amd64' }
    : { architecture: 'arm64' };
  assert.equal(await emulation.plan({ os: 'linux', architecture, variant: 'v2' }), {
    kind: 'native',
  });
  await emulation.close();
});

test('a 32-bit ARM program that does nothing ends with exit code 0', async () => {
  const path = join(directory, 'nothing');
  writeFileSync(path, armProgram(), { mode: 0o755 });
  assert.ok(isStatic(path));
  const arm = findEmulator(machineOf('arm')!);
  if (!arm) return console.log('SKIP arm program: needs qemu-user-static');
  const { spawnSync } = await import('node:child_process');
  assert.is(spawnSync(arm, [path]).status, 0);
});

test('a registration of the host with the flag F is used as it is', async () => {
  const table = join(directory, 'host');
  mkdirSync(table);
  writeFileSync(join(table, 'status'), 'enabled\n');
  writeFileSync(
    join(table, 'q'),
    ENTRY('OCF').replace(
      /magic .*/,
      `magic ${elfHeader(machineOf(foreign.architecture)!).toString('hex')}`,
    ),
  );
  const emulation = createEmulation(directory, { hostTable: table });
  assert.equal(await emulation.plan(foreign), {
    kind: 'host',
    emulator: 'qemu-aarch64-static',
    mountEmulator: false,
  });
  await emulation.close();
});

test('without an emulator the error has the command that installs one', async () => {
  const emulation = createEmulation(directory, { searchPath: directory, hostTable: directory });
  const error = await failure(emulation.plan(foreign));
  assert.is(error.code, 'KILN_NO_EMULATION');
  assert.match(error.hint ?? '', /qemu-user-static/);
  assert.match(error.notes.join(), /BUILDPLATFORM/);
  await emulation.close();
});

test('an emulator that needs libraries is not used', async () => {
  copyFileSync(process.execPath, join(directory, 'qemu-dynamic'));
  const named = createEmulation(directory, {
    emulator: async () => join(directory, 'qemu-dynamic'),
    hostTable: directory,
  });
  const error = await failure(named.plan(foreign));
  assert.is(error.code, 'KILN_NO_EMULATION');
  assert.match(error.hint ?? '', /statically linked/);
  await named.close();
});

test('a platform without an emulator is refused', async () => {
  const emulation = createEmulation(directory, {});
  for (const platform of [
    { os: 'windows', architecture: 'amd64' },
    { os: 'linux', architecture: 'constructor' },
  ])
    assert.is((await failure(emulation.plan(platform))).code, 'KILN_NO_EMULATION');
  await emulation.close();
});

test('the table of a user namespace does not change the host, and ends with Kiln', async () => {
  if (!canPrivate) return;
  const before = existsSync(`${BINFMT}/status`) ? readdirSync(BINFMT).sort() : [];
  const emulation = createEmulation(directory, { hostTable: directory });
  const plan = await emulation.plan(foreign).catch((error: KilnError) => error);
  // A kernel before 6.7 has only one table. The error must then hold the command that fills it.
  if (plan instanceof KilnError) {
    assert.match(plan.hint ?? '', /binfmt_misc\/register/);
  } else {
    assert.is(plan.kind, 'private');
    if (plan.kind !== 'private') return;
    assert.ok(existsSync(plan.userNamespace));
    await emulation.close();
    assert.not.ok(existsSync(plan.userNamespace));
  }
  assert.equal(existsSync(`${BINFMT}/status`) ? readdirSync(BINFMT).sort() : [], before);
});

test.run();
