import { mkdirSync } from 'node:fs';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { CacheOptionsEntrySchema, CacheOptionsSchema } from '../api/proto/control.gen.ts';
import { KilnError, messageOf } from '../base/errors.ts';
import type { ProgressSink } from '../base/progress.ts';
import { formatReference } from '../base/reference.ts';
import type {
  BuildRequest,
  CacheFileSpec,
  CacheFromSpec,
  CacheToSpec,
} from '../builder/request.ts';
import { openLayout } from '../registry/layout.ts';
import { descriptorIn, putInIndex } from './layout-index.ts';
import type { Lent } from './lent.ts';

type Entry = MessageInitShape<typeof CacheOptionsEntrySchema>;

/**
 * The caches of a request in the words of the API. Those in directories of the caller are lent as
 * stores. One that cannot be read is left out, with a warning: a build does not need it.
 */
export function layOutCaches(
  { cacheFrom, cacheTo }: BuildRequest,
  lent: Lent,
  progress: ProgressSink,
): MessageInitShape<typeof CacheOptionsSchema> {
  const imports = cacheFrom.flatMap((spec) => {
    try {
      return [importOf(spec, lent)];
    } catch (error) {
      if (!(error instanceof KilnError)) throw error;
      progress({
        kind: 'warning',
        short: `a cache is not read: ${messageOf(error)}`,
        detail: [],
      });
      return [];
    }
  });
  return { imports, exports: cacheTo.map((spec) => exportOf(spec, lent)) };
}

function importOf(spec: CacheFromSpec, lent: Lent): Entry {
  if (spec.type === 'registry')
    return { type: spec.type, attrs: { ref: formatReference(spec.ref) } };
  const { src, tag } = spec;
  using layout = openLayout(src);
  const digest = spec.digest ?? layout.find({ ...(tag && { tag }) }).digest;
  lendStore(src, false, lent);
  return { type: spec.type, attrs: { src, digest, ...(tag && { tag }) } };
}

function exportOf(spec: CacheToSpec, lent: Lent): Entry {
  if (spec.type === 'inline') return { type: spec.type, attrs: {} };
  const common = {
    mode: spec.mode,
    'oci-mediatypes': String(spec.ociTypes),
    'image-manifest': String(spec.imageManifest),
    compression: spec.compression,
    ...(spec.level !== undefined && { 'compression-level': String(spec.level) }),
    ...(spec.forceCompression && { 'force-compression': 'true' }),
    ...(spec.ignoreError && { 'ignore-error': 'true' }),
  };
  if (spec.type === 'registry')
    return { type: spec.type, attrs: { ref: formatReference(spec.ref), ...common } };
  lendWritten(spec, lent);
  return { type: spec.type, attrs: { dest: spec.dest, ...common } };
}

/** The server writes the blobs, and the caller names the cache in the index. */
function lendWritten({ dest, tag }: CacheFileSpec & { readonly type: 'local' }, lent: Lent): void {
  mkdirSync(dest, { recursive: true });
  lendStore(dest, true, lent);
  lent.finishing.push(async (response) => {
    const manifest = descriptorIn(response['cache.manifest']);
    if (manifest) await putInIndex(dest, [{ ...manifest, annotations: { [REF_NAME]: tag } }]);
  });
}

const REF_NAME = 'org.opencontainers.image.ref.name';

/** A directory may be read and written by one build. */
function lendStore(root: string, isWritable: boolean, { stores }: Lent): void {
  const id = `local:${root}`;
  stores.set(id, { root, isWritable: isWritable || stores.get(id)?.isWritable === true });
}
