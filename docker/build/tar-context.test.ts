import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../../base/errors.ts';
import { unpackContext } from './tar-context.ts';

const signal = new AbortController().signal;

/** Unpacks, and answers the code of the error, or calls `look` with the directory. */
async function unpacked(
  body: Iterable<Buffer>,
  look: (into: string) => void = () => {},
  limit?: number,
): Promise<string | undefined> {
  const place = mkdtempSync(join(tmpdir(), 'kiln-tar-context-'));
  try {
    const into = join(place, 'into');
    await unpackContext(Readable.from(body), into, signal, limit);
    look(into);
    assert.equal(readdirSync(place), ['into'], 'nothing beside it');
    return undefined;
  } catch (error) {
    return (error as KilnError).code;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function archive(names: Readonly<Record<string, string>>): Buffer {
  const python = `
import io, json, sys, tarfile
out = io.BytesIO()
with tarfile.open(fileobj=out, mode='w') as tar:
    for name, text in json.loads(sys.argv[1]).items():
        info = tarfile.TarInfo(name)
        if text.startswith('-> '):
            info.type, info.linkname = tarfile.SYMTYPE, text[3:]
        else:
            info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
sys.stdout.buffer.write(out.getvalue())
`;
  return execFileSync('python3', ['-c', python, JSON.stringify(names)]);
}

test('an archive is unpacked as it comes, byte by byte and compressed, too', async () => {
  const tar = archive({ Dockerfile: 'FROM scratch\n', 'sub/a': 'a' });
  const pieces = [...tar].map((byte) => Buffer.of(byte));
  for (const body of [[tar], pieces, [gzipSync(tar)]])
    await unpacked(body, (into) => {
      assert.is(readFileSync(join(into, 'Dockerfile'), 'utf8'), 'FROM scratch\n');
      assert.is(readFileSync(join(into, 'sub/a'), 'utf8'), 'a');
    });
});

test('no path and no link of an archive leads out of it', async () => {
  const outside = join(tmpdir(), `kiln-escaped-${process.pid}`);
  for (const names of [
    { [`../../escaped`]: 'x' },
    { [outside]: 'x' },
    { link: `-> ${tmpdir()}`, [`link/kiln-escaped-${process.pid}`]: 'x' },
    { link: '-> ../..', 'link/escaped': 'x' },
  ]) {
    await unpacked([archive(names as Record<string, string>)]);
    assert.not.ok(existsSync(outside), JSON.stringify(names));
  }
});

test('what never ends, is no archive, or is cut off is refused', async () => {
  const endless = function* () {
    yield archive({ Dockerfile: 'FROM scratch\n' }).subarray(0, 1024);
    const more = archive({ a: 'x'.repeat(400) }).subarray(0, 1024);
    for (;;) yield more;
  };
  assert.is(await unpacked(endless(), undefined, 1 << 20), 'KILN_REQUEST_TOO_LARGE');
  const entry = archive({ a: 'x'.repeat(400) }).subarray(0, 1024);
  const bomb = gzipSync(Buffer.concat(Array.from({ length: 3000 }, () => entry)));
  assert.is(await unpacked([bomb], undefined, 1 << 20), 'KILN_REQUEST_TOO_LARGE');
  assert.is(await unpacked([]), 'KILN_CONTEXT_INVALID');
  assert.match((await unpacked([Buffer.from('FROM scratch\n')])) ?? '', /^KILN_/);
  const cut = archive({ a: 'x'.repeat(5000) }).subarray(0, 3000);
  assert.is(await unpacked([cut]), 'KILN_ARCHIVE_DAMAGED');
});

test.run();
