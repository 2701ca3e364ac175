import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { programsIn } from './find-program.ts';
import { findRuntime, installCommand, knownVulnerabilities, probeRuntime } from './probe.ts';

const directory = mkdtempSync(join(tmpdir(), 'kiln-probe-'));
test.after(() => rmSync(directory, { recursive: true, force: true }));

function program(name: string, says: string): string {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\necho '${says}'\n`);
  chmodSync(path, 0o755);
  return path;
}

test('without a runtime the error says what to install', () => {
  try {
    findRuntime(programsIn(directory));
    assert.unreachable();
  } catch (error) {
    assert.instance(error, KilnError);
    assert.is((error as KilnError).code, 'KILN_NO_RUNTIME');
    assert.match((error as KilnError).hint ?? '', /install.* crun|add crun/);
  }
});

test('crun is preferred to runc, and an override is preferred to both', () => {
  const runc = program('runc', 'runc version 1.3.3');
  assert.equal(findRuntime(programsIn(directory)), { name: 'runc', path: runc });
  const crun = program('crun', 'crun version 1.20');
  assert.equal(findRuntime(programsIn(`relative:${directory}`)), { name: 'crun', path: crun });
  assert.equal(findRuntime(programsIn(directory), 'runc'), { name: 'runc', path: runc });
  assert.equal(findRuntime(programsIn(''), crun), { name: 'crun', path: crun });
});

test('the version is asked for once', () => {
  const path = program('crun-once', 'crun version 1.8.1\ncommit: f8a0');
  assert.is(probeRuntime({ name: 'crun', path }).version, '1.8.1');
  rmSync(path);
  assert.is(probeRuntime({ name: 'crun', path }).version, '1.8.1');
});

test('a runtime that does not run is an error', () => {
  assert.throws(
    () => probeRuntime({ name: 'crun', path: join(directory, 'absent') }),
    (error: unknown) => error instanceof KilnError && error.code === 'KILN_NO_RUNTIME',
  );
});

test('versions with published vulnerabilities are named, patched ones are not', () => {
  const count = (name: 'crun' | 'runc', version: string) =>
    knownVulnerabilities(name, version).length;
  assert.is(count('runc', '1.1.4'), 4);
  assert.is(count('runc', '1.1.11'), 3);
  assert.is(count('runc', '1.1.5+ds1'), 2, 'Debian 12 has patched the descriptor leak');
  assert.is(count('runc', '1.2.7'), 1);
  assert.is(count('runc', '1.2.8'), 0);
  assert.is(count('runc', '1.3.2'), 1);
  assert.is(count('runc', '1.3.3'), 0);
  assert.is(count('runc', '1.4.0-rc.2'), 1);
  assert.is(count('runc', '1.4.0'), 0);
  assert.is(count('crun', '1.4.3'), 1);
  assert.is(count('crun', '1.8.1'), 0);
});

test('the install command fits the distribution', () => {
  assert.is(installCommand('crun', 'ID=debian\n'), 'apt-get install -y crun');
  assert.is(
    installCommand('crun', 'NAME=x\nID=ubuntu\nID_LIKE=debian\n'),
    'apt-get install -y crun',
  );
  assert.is(
    installCommand('crun', 'ID="rocky"\nID_LIKE="rhel centos fedora"\n'),
    'dnf install -y crun',
  );
  assert.is(installCommand('crun', 'ID=alpine\n'), 'apk add crun');
});

test.run();
