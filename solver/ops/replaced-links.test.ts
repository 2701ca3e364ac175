import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import { replacedLinks } from './replaced-links.ts';

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
    const files = (id: LayerId) => join(top, id);
    assert.equal(replacedLinks([base, above], [copy], { files }), ['/bin', '/usr/conf']);
    assert.equal(replacedLinks([], [copy], { files }), []);
    assert.equal(replacedLinks([base], [copy], { files: () => undefined }), []);
  } finally {
    rmSync(top, { recursive: true });
  }
});

test.run();
