import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import { replacedDirectories } from './replaced-directories.ts';

test('a directory that replaces a symlink of the image is found, also in /usr', () => {
  const top = mkdtempSync(join(tmpdir(), 'kiln-links-'));
  try {
    const layer = (name: string, fill: (path: (...parts: string[]) => string) => void): LayerId => {
      mkdirSync(join(top, name));
      fill((...parts) => join(top, name, ...parts));
      return name as LayerId;
    };
    const base = layer('base', (path) => {
      mkdirSync(path('usr/bin'), { recursive: true });
      symlinkSync('usr/bin', path('bin'));
      symlinkSync('/etc', path('usr/conf'));
      symlinkSync('usr/bin', path('sbin'));
    });
    const above = layer('above', (path) => mkdirSync(path('sbin')));
    const copy = layer('copy', (path) => {
      for (const name of ['bin', 'sbin', 'usr/bin', 'usr/conf', 'new'])
        mkdirSync(path(name), { recursive: true });
      writeFileSync(path('bin/x'), '');
    });
    const directories = (id: LayerId) => [join(top, id)];
    assert.equal(replacedDirectories([base, above], [copy], { directories }).links, [
      '/bin',
      '/usr/conf',
    ]);
    assert.equal(replacedDirectories([], [copy], { directories }).links, []);
    assert.equal(replacedDirectories([base], [copy], { directories: () => [] }).links, []);
  } finally {
    rmSync(top, { recursive: true });
  }
});

test('a directory that loses its owner, or a mode that others rely on, is found', () => {
  const top = mkdtempSync(join(tmpdir(), 'kiln-links-'));
  try {
    const layer = (name: string, modes: Readonly<Record<string, number>>): LayerId => {
      for (const [path, mode] of Object.entries(modes)) {
        mkdirSync(join(top, name, path), { recursive: true });
        chmodSync(join(top, name, path), mode);
      }
      return name as LayerId;
    };
    const base = layer('base', {
      secret: 0o700,
      spool: 0o1777,
      team: 0o2775,
      tmp: 0o1777,
      app: 0o755,
      home: 0o755,
      'home/me': 0o755,
    });
    chownSync(join(top, 'base/home/me'), 1000, 1000);
    const names = ['secret', 'spool', 'team', 'tmp', 'app', 'new', 'home', 'home/me'];
    const copy = layer('copy', Object.fromEntries(names.map((name) => [name, 0o755])));
    chmodSync(join(top, 'copy/app'), 0o775);
    const directories = (id: LayerId) => [join(top, id)];
    assert.equal(replacedDirectories([base], [copy], { directories }).rights.toSorted(), [
      '/home/me (owner 1000, now 0)',
      '/secret (mode 0700, now 0755)',
      '/spool (mode 1777, now 0755)',
      '/team (mode 2775, now 0755)',
    ]);
  } finally {
    rmSync(top, { recursive: true });
  }
});

test.run();
