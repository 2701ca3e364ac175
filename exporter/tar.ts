import { closeSync, readSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import { contentXattrs } from '../cache/contenthash/xattrs.ts';
import { type Entry, fileIdentity, sameIdentity } from '../cache/select/entry.ts';
import {
  END_OF_ARCHIVE,
  type EntryType,
  encodeHeader,
  NO_XATTRS,
  padding,
} from '../snapshotter/layer/tar.ts';
import { fstat, type Stat } from '../snapshotter/sys/calls.ts';
import { O } from '../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../snapshotter/sys/rooted.ts';
import {
  STATEMENT_MODE,
  type StatementFile,
  statementFiles,
  walkBeside,
} from './attest/statement-files.ts';
import { type ByteSink, writeTo } from './destination.ts';
import { reported } from './export-report.ts';
import type { Exporter } from './exporter.ts';
import type { Destination } from './output-spec.ts';
import { placesOf } from './result-tree.ts';
import type { ExportServices } from './services.ts';

/**
 * `type=tar`: the tree of the result as one tar archive, sorted, with owners, modes, links and
 * capabilities. Times are kept, or all set to the epoch. With several platforms each gets a
 * directory. Attestations come before each tree.
 */
export function tarExporter(
  services: ExportServices,
  {
    destination,
    attestationPrefix: prefix,
  }: { readonly destination: Destination; readonly attestationPrefix?: string | undefined },
): Exporter {
  const name = 'exporting to client tarball';
  return {
    name,
    export: (targets, context) =>
      reported(name, context, async (report) => {
        await report.task('sending tarball', (progress) =>
          writeTo(destination, context.signal, async (sink) => {
            for (const [target, place] of placesOf(targets, undefined)) {
              await using view = await services.snapshotter.view(target.snapshot);
              const statements = await statementFiles(target, view.root, context, {
                prefix,
                shared: false,
              });
              await new TreeWriter(view.root, place, context.epoch, sink).write(
                statements,
                progress,
              );
            }
            await sink.write(END_OF_ARCHIVE);
          }),
        );
        return {};
      }),
  };
}

const TYPES: Record<Entry['kind'], EntryType | undefined> = {
  file: 'file',
  directory: 'directory',
  symlink: 'symlink',
  fifo: 'fifo',
  char: 'char',
  block: 'block',
  // A socket has no meaning without its process, and archive formats do not support sockets.
  socket: undefined,
};

/** Writes one tree. The path to the tree is Kiln's own; every path in it is resolved inside it. */
class TreeWriter {
  readonly #path: string;
  readonly #prefix: string;
  readonly #epoch: number | undefined;
  readonly #sink: ByteSink;
  /** For each file with several names, the first of them. */
  readonly #names = new Map<number, string>();

  constructor(path: string, place: string, epoch: number | undefined, sink: ByteSink) {
    this.#path = path;
    this.#prefix = place === '' ? '' : `${place}/`;
    this.#epoch = epoch;
    this.#sink = sink;
  }

  async write(
    statements: readonly StatementFile[],
    progress: (current: number, total: number) => void,
  ): Promise<void> {
    using root = openRoot(this.#path);
    const entries = walkBeside(statements, this.#path);
    if (this.#prefix !== '')
      await this.#sink.write(ownHeader('directory', this.#prefix, 0o755, 0, this.#epoch ?? 0));
    for (const statement of statements) await this.#statement(statement);
    const total = entries.reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.size : 0), 0);
    let current = 0;
    for (const entry of entries) {
      await this.#entry(root, entry);
      if (entry.kind === 'file') progress((current += entry.size), total);
    }
  }

  async #statement({ name, text }: StatementFile): Promise<void> {
    const bytes = Buffer.from(text);
    const time = this.#epoch ?? Math.floor(Date.now() / 1000);
    await this.#sink.write(
      ownHeader('file', this.#prefix + name, STATEMENT_MODE, bytes.length, time),
    );
    await this.#sink.write(Buffer.concat([bytes, Buffer.alloc(padding(bytes.length))]));
  }

  async #entry(root: Root, entry: Entry): Promise<void> {
    const readable = entry.kind === 'file' || entry.kind === 'directory';
    const fd = root.open(entry.path, readable ? O.RDONLY : O.PATH, {
      follow: false,
      noLinks: readable,
    });
    try {
      const stat = fstat(fd);
      if (!sameIdentity(fileIdentity(stat), entry)) throw changed(entry.path);
      const first =
        entry.kind === 'file' && entry.nlink > 1 ? this.#names.get(entry.ino) : undefined;
      const header = this.#header(entry, stat, first, readable ? fd : undefined);
      if (!header) return;
      await this.#sink.write(header);
      if (entry.kind !== 'file' || first !== undefined) return;
      if (entry.nlink > 1) this.#names.set(entry.ino, this.#prefix + entry.path);
      await this.#content(fd, entry);
    } finally {
      closeSync(fd);
    }
  }

  #header(
    entry: Entry,
    stat: Stat,
    first: string | undefined,
    fd: number | undefined,
  ): Buffer | undefined {
    const type = first === undefined ? TYPES[entry.kind] : 'hardlink';
    if (!type) return undefined;
    const device = type === 'char' || type === 'block';
    return encodeHeader({
      type,
      path: this.#prefix + entry.path + (type === 'directory' ? '/' : ''),
      linkPath: first ?? entry.link ?? '',
      mode: entry.mode & 0o7777,
      uid: entry.uid,
      gid: entry.gid,
      size: type === 'file' ? entry.size : 0,
      mtime: this.#epoch === undefined ? stat.mtime : { sec: this.#epoch, nsec: 0 },
      devMajor: device ? stat.rdevMajor : 0,
      devMinor: device ? stat.rdevMinor : 0,
      xattrs: fd === undefined || first !== undefined ? NO_XATTRS : new Map(contentXattrs(fd)),
    });
  }

  async #content(fd: number, entry: Entry): Promise<void> {
    for (let left = entry.size; left > 0; ) {
      const buffer = Buffer.allocUnsafe(Math.min(1 << 20, left));
      const length = readSync(fd, buffer, 0, buffer.length, null);
      if (length === 0) throw changed(entry.path);
      await this.#sink.write(buffer.subarray(0, length));
      left -= length;
    }
    if (padding(entry.size) > 0) await this.#sink.write(Buffer.alloc(padding(entry.size)));
  }
}

/** The header of an entry that is not in the tree: the directory of a platform, or a statement. */
function ownHeader(type: EntryType, path: string, mode: number, size: number, sec: number): Buffer {
  const mtime = { sec, nsec: 0 };
  return encodeHeader({
    type,
    path,
    linkPath: '',
    mode,
    uid: 0,
    gid: 0,
    size,
    mtime,
    devMajor: 0,
    devMinor: 0,
    xattrs: NO_XATTRS,
  });
}

function changed(path: string): KilnError {
  return new KilnError('KILN_STORE_DAMAGED', `"/${path}" of the result changed while it was read`, {
    hint: 'build again',
  });
}
