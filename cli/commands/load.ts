import { createWriteStream, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { KilnError } from '../../base/errors.ts';
import type { Engine } from '../../builder/engine.ts';
import { loadArchive } from '../../exporter/load-archive.ts';
import { shownName } from '../../images/find-image.ts';
import { readAllPlatforms } from '../../images/read.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { standardInput } from '../stdin.ts';
import { withTransferProgress } from '../transfer-progress.ts';

export function declareCommand(): Command {
  return newCommand('load', 'Load images from an archive')
    .option(
      '-i, --input <file>',
      'read from an archive file or OCI layout directory, instead of standard input',
    )
    .option('-q, --quiet', 'suppress the progress output');
}

/**
 * `kiln load [-i FILE]`: loads the images of an OCI or docker archive, or of an OCI layout
 * directory, into the local store.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { input, quiet } = command.opts<{ input?: string; quiet?: boolean }>();
  if (input === undefined && process.stdin.isTTY)
    throw new KilnError('KILN_USAGE', 'requested load from stdin, but stdin is a terminal', {
      hint: 'give the archive with -i FILE',
      exitCode: 2,
    });
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const path = input === undefined ? await spool(engine) : resolve(input);
  const loaded = await withTransferProgress(
    'Loading',
    `loading ${input ?? 'standard input'}`,
    { quiet },
    (report) =>
      loadArchive(engine, path, {
        signal: cancel.signal,
        progress: (blob, current, total) => report({ id: blob, name: blob, current, total }),
      }),
  );
  for (const image of loaded) {
    for (const name of image.names) stdout.write(`Loaded image: ${shownName(name)}\n`);
    if (image.names.length > 0) continue;
    engine.images.put({
      name: image.target.digest,
      target: image.target,
      configs: readAllPlatforms(engine.content, image.target).map(
        ({ manifest }) => manifest.config.digest,
      ),
      created: Date.now(),
    });
    stdout.write(`Loaded image ID: ${image.target.digest}\n`);
  }
  return 0;
}

/** Writes standard input to a file, because reading an archive needs random access. */
async function spool(engine: Engine): Promise<string> {
  const path = engine.store.scratchPath('load');
  await pipeline(standardInput(), createWriteStream(path, { mode: 0o600 }));
  if (statSync(path).size === 0)
    throw new KilnError('KILN_ARCHIVE_INVALID', 'standard input is empty: it has no archive', {
      hint: 'pipe or redirect an archive, or give it with -i FILE',
    });
  return path;
}
