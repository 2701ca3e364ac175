import { resolve } from 'node:path';
import { createGzip } from 'node:zlib';
import { BuildHistory } from '../../api/history/build-history.ts';
import { bundleOf } from '../../api/history/bundle.ts';
import { KilnError } from '../../base/errors.ts';
import { formatPlatformInFull } from '../../base/platform.ts';
import { writeArchive } from '../../exporter/archive.ts';
import { writeTo } from '../../exporter/destination.ts';
import { blobBytes, layoutFrame } from '../../exporter/layout.ts';
import { findBuild, listBuilds } from '../../history/list-builds.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { type Command, newCommand, parseArguments, rejectCombination } from '../arguments.ts';
import { archiveDestination } from '../binary-output.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { VERSION } from '../version.ts';

export function declareBuildExport(): Command {
  return newCommand('history export', 'Write records of builds to a .dockerbuild file')
    .argument('[builds...]', 'IDs of builds that have ended (default: the last one)')
    .option('-o, --output <file>', 'the file (default: standard output)')
    .option(
      '--html <file>',
      "write a page for browsers as one file instead; '-' is standard output",
    )
    .option('--all', 'all builds that have ended')
    .option('--finalize', 'no effect: the trace of a build that has ended is complete');
}

interface ExportFlags {
  readonly output?: string;
  readonly all?: boolean;
  readonly html?: string;
}

/** `kiln history export` */
export async function exportBuilds(argv: readonly string[]): Promise<number> {
  const command = declareBuildExport();
  if (!parseArguments(command, argv)) return 0;
  rejectCombination(command, '--html', ['--output']);
  const { output = '-', all, html } = command.opts<ExportFlags>();
  if (all && command.args.length > 0)
    throw new KilnError('KILN_USAGE', '--all exports every build and takes no IDs', {
      hint: 'leave --all or the IDs out',
      exitCode: 2,
    });
  if (html !== undefined) {
    const { writePage } = await import('../page/show-page.ts');
    await writePage(all ? 'all' : command.args, html === '-' ? html : resolve(html));
    return 0;
  }
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const { signal } = cancel;
  const path = output === '-' ? output : resolve(output);
  const destination = archiveDestination(path, '--output', signal);
  const ended = listBuilds(engine.store.logs).filter(
    ({ state }) => state !== 'running' && state !== 'damaged',
  );
  const wanted = command.args.length > 0 ? command.args : [undefined];
  const chosen = all ? ended : wanted.map((name) => findBuild(ended, name));
  const history = new BuildHistory(engine.store.logs, VERSION);
  const records = chosen.flatMap(({ ref }) => history.find(ref) ?? []);
  const platform = formatPlatformInFull(hostPlatform());
  const { target, blobs } = bundleOf(history, records, engine.store.logs, platform);
  const entries = [
    ...layoutFrame([target]),
    ...[...blobs].map(([digest, bytes]) => blobBytes(digest, bytes)),
  ];
  await writeTo(destination, signal, async (sink) => {
    const gzip = createGzip();
    const written = (async () => {
      for await (const bytes of gzip) await sink.write(bytes as Uint8Array);
    })();
    await writeArchive(entries, NO_BLOBS, {
      write: async (bytes) => {
        if (!gzip.write(bytes)) await new Promise((done) => gzip.once('drain', done));
      },
    });
    gzip.end();
    await written;
  });
  return 0;
}

/** All blobs are in memory. */
const NO_BLOBS = {
  open: (): AsyncIterable<Uint8Array> => {
    throw new Error('no blob of the store is exported');
  },
};
