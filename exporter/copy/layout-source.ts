import type { Descriptor } from '../../base/oci.ts';
import { openLayout } from '../../registry/layout.ts';
import { MAX_MANIFEST } from '../../registry/parse-document.ts';
import { type CopySource, verified } from './copy-source.ts';

/**
 * An image in an OCI layout, a directory or an archive. `tag` may be omitted when there is only one
 * image. `part` names a document of the layout in its place, which index.json need not list.
 */
export function layoutSource(
  path: string,
  tag: string | undefined,
  signal: AbortSignal,
  part?: Descriptor,
): CopySource {
  const layout = openLayout(path);
  try {
    const { annotations: _, ...target } = part ?? layout.find(tag === undefined ? {} : { tag });
    return {
      name: path,
      target,
      document: async (descriptor) => layout.read(descriptor, MAX_MANIFEST),
      blob: (descriptor) => ({
        descriptor,
        open(start = 0, end = descriptor.size) {
          const bytes = layout.stream(descriptor, start, end, signal);
          return start === 0 && end === descriptor.size ? verified(descriptor, bytes) : bytes;
        },
      }),
      async [Symbol.asyncDispose]() {
        layout[Symbol.dispose]();
      },
    };
  } catch (error) {
    layout[Symbol.dispose]();
    throw error;
  }
}
