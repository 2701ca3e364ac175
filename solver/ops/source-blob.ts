import { createHash } from 'node:crypto';
import { closeSync, createReadStream, ftruncateSync, writeSync } from 'node:fs';
import { asDigest, type Digest, hexOf, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { parseReference } from '../../base/reference.ts';
import type { BlobSink } from '../../registry/download.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import type { SourceOp } from '../llb/ops.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';
import { type StepSession, sessionOf } from '../step-session.ts';
import { byteStatus } from './byte-status.ts';
import { applyToFd } from './file/attributes.ts';
import { safeName } from './http/file-name.ts';
import { type FileAttributes, readFileAttributes } from './http/http-source.ts';
import type { SourceImageWorld } from './source-image.ts';

/** A `docker-image+blob://` or `oci-layout+blob://` source of a graph. */
export interface GraphBlob extends FileAttributes {
  readonly kind: 'registry' | 'layout';
  /** The repository, or the name of the store of the layout. */
  readonly place: string;
  readonly digest: Digest;
}

const BLOB = /^(docker-image|oci-layout)\+blob:\/\/(.*)$/s;

/** Reads the attributes of such a source. Throws KILN_GRAPH_INVALID, KILN_REFERENCE_INVALID. */
export function readGraphBlob({ identifier, attrs }: SourceOp): GraphBlob {
  const [, scheme, text = ''] = BLOB.exec(identifier) ?? [];
  const at = text.lastIndexOf('@');
  const digest = text.slice(at + 1);
  if (at < 0 || !isDigest(digest))
    throw new KilnError(
      'KILN_GRAPH_INVALID',
      `the build graph names the blob ${JSON.stringify(identifier)} without a sha256 digest`,
    );
  const attributes = readFileAttributes(attrs);
  const name = text.slice(0, at);
  if (scheme === 'oci-layout')
    return { ...attributes, kind: 'layout', place: attrs['oci.store'] || name, digest };
  const { domain, path } = parseReference(name);
  return { ...attributes, kind: 'registry', place: `${domain}/${path}`, digest };
}

/**
 * The op of a blob: one file with its bytes, of the time 1970. Its key is made of the digest, the
 * name and the attributes of the file, so that it needs no request.
 */
export function sourceBlobOp(op: SourceOp, world: SourceImageWorld): Op<BuildResult> {
  const source = readGraphBlob(op);
  const { digest, mode, uid, gid } = source;
  const filename = safeName(source.filename ?? hexOf(digest));
  return {
    resource: 'network',
    cacheMap: async () => ({
      parts: [
        { name: 'blob', value: digest },
        { name: 'name of the file', value: filename },
        { name: 'mode and owner of the file', value: [mode.toString(8), uid, gid].join(' ') },
      ],
      inputs: [],
      volatile: false,
    }),
    async run(_inputs, context) {
      const session = sessionOf(context);
      await using active = await world.snapshotter.prepare({ layers: [] });
      using root = openRoot(active.root);
      const fd = root.create(filename, 0o600);
      try {
        const { progress, vertex, signal } = context;
        const onBytes = byteStatus({ progress, vertex }, `downloading ${filename}`);
        const open = () => fileSink(fd);
        if (source.kind === 'registry')
          await world.images(session).copyBlob(source.place, digest, open, { signal, onBytes });
        else await copyFromLayout(source, session, open());
        const mtime = { sec: 0, nsec: 0 };
        applyToFd(fd, { uid, gid, mode, mtime, xattrs: undefined });
      } finally {
        closeSync(fd);
      }
      return [{ kind: 'snapshot', snapshot: await active.commit() }];
    },
  };
}

async function copyFromLayout(
  { place, digest }: GraphBlob,
  session: StepSession,
  sink: BlobSink,
): Promise<void> {
  const path = await session.layoutBlob(place, digest);
  if (path === undefined)
    throw new KilnError(
      'KILN_GRAPH_INVALID',
      `the build has no OCI layout with the name ${JSON.stringify(place)}`,
    );
  let size = 0;
  for await (const bytes of createReadStream(path) as AsyncIterable<Buffer>) {
    sink.write(bytes);
    size += bytes.byteLength;
  }
  sink.commit({ digest, size });
}

/** Writes to the beginning of a file, and says whether the bytes are those of the digest. */
function fileSink(fd: number): BlobSink {
  const hash = createHash('sha256');
  let at = 0;
  return {
    write(bytes) {
      hash.update(bytes);
      for (let rest = bytes; rest.byteLength > 0; ) {
        const written = writeSync(fd, rest, 0, rest.byteLength, at);
        at += written;
        rest = rest.subarray(written);
      }
    },
    commit({ digest, size }) {
      // An attempt that failed may have written more.
      ftruncateSync(fd, at);
      const got = asDigest(`sha256:${hash.digest('hex')}`);
      if (got !== digest || at !== size)
        throw new KilnError('KILN_DIGEST_MISMATCH', `the blob ${digest} came as ${got}`);
    },
    [Symbol.dispose]: () => {},
  };
}
