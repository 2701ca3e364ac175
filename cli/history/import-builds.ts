import { createWriteStream } from 'node:fs';
import { join, resolve } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { KilnError } from '../../base/errors.ts';
import { osError, reading } from '../../base/oserror.ts';
import { openLayout } from '../../registry/layout.ts';
import { type Command, collect, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { namedStream } from '../read-stream.ts';
import { escapeControls } from '../terminal/text.ts';
import { type ImportedRecord, importLayout } from './import-record.ts';

/** A file of records that unpacks to more is refused. Bytes. */
const MOST_BYTES = 2 ** 31;

export function declareBuildImport(): Command {
  return newCommand('history import', 'Read records of builds from .dockerbuild files')
    .argument('[files...]', 'files that Kiln or buildx has exported (default: standard input)')
    .option('-f, --file <file>', 'a file, as with buildx', collect);
}

/** `kiln history import`: records that are read are kept however many builds follow. */
export async function importBuilds(argv: readonly string[]): Promise<number> {
  const command = declareBuildImport();
  if (!parseArguments(command, argv)) return 0;
  const { file = [] } = command.opts<{ file?: readonly string[] }>();
  const given = [...command.args, ...file];
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  for (const name of given.length > 0 ? given : ['-']) {
    const { path: scratch } = engine.store.scratch('import');
    const plain = join(scratch, 'layout.tar');
    await unpack(name, plain, cancel.signal);
    using layout = openLayout(plain);
    for (const record of importLayout(layout, engine.store.logs)) tell(record);
  }
  return 0;
}

function tell({ ref, isNew }: ImportedRecord): void {
  const shown = escapeControls(ref);
  stdout.write(isNew ? `${shown}\n` : `${shown} is here already\n`);
}

async function unpack(name: string, to: string, signal: AbortSignal): Promise<void> {
  let bytes = 0;
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.byteLength;
      if (bytes > MOST_BYTES) done(invalid(name, 'it unpacks to more than 2 GB'));
      else done(null, chunk);
    },
  });
  try {
    const input = name === '-' ? process.stdin : await namedStream(resolve(name));
    await pipeline(input, createGunzip(), bounded, createWriteStream(to, { mode: 0o600 }), {
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    const { code } = Object(error) as { code?: unknown };
    if (code === 'ENOENT')
      throw new KilnError('KILN_FILE_UNREADABLE', `there is no file ${name}`, {
        hint: "'kiln history export -o FILE' writes one",
      });
    if (typeof code === 'string' && code.startsWith('Z_'))
      throw invalid(name, 'it is not compressed with gzip, or was cut');
    throw osError(error, { ...reading('the file of records', name), exitCode: 1 });
  }
}

function invalid(name: string, why: string): KilnError {
  return new KilnError('KILN_LAYOUT_INVALID', `${name} has no records of builds: ${why}`, {
    hint: "give a file of 'kiln history export' or 'docker buildx history export'",
  });
}
