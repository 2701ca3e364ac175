import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { FrontendRequest } from '../frontend.ts';
import { PLAIN_GRAPH } from '../graph-options.ts';
import { parseIgnore } from '../ignore.ts';

/** For tests: an ordinary build for linux/amd64, with only the images that `images` accepts. */
export function requestOf(
  dockerfile: string,
  { ignore, images = () => false, ...request }: Partial<FrontendRequest> & RequestExtras = {},
): FrontendRequest {
  const ignoreFile =
    ignore === undefined ? undefined : parseIgnore({ name: '.dockerignore', text: ignore });
  const patterns = ignoreFile?.patterns.map(({ text }) => text) ?? [];
  return {
    dockerfile: { name: 'Dockerfile', text: dockerfile },
    ...PLAIN_GRAPH,
    buildPlatform: { os: 'linux', architecture: 'amd64' },
    namedContexts: new Map(),
    mainContext: {
      kind: 'local',
      sessionId: 's',
      sharedKeyHint: 'c',
      ignore: patterns,
      ignoreFile,
    },
    resolveImage: async (ref, { architecture }) => {
      const there = images(ref);
      if (!there) throw new KilnError('KILN_IMAGE_NOT_FOUND', `${ref} is not there`);
      const rootfs = { type: 'layers' as const, diff_ids: [digestOf('layer')] };
      const config = { os: 'linux', architecture: there === true ? architecture : there, rootfs };
      return { name: ref, digest: digestOf(ref), local: true, config };
    },
    signal: new AbortController().signal,
    ...request,
  };
}

interface RequestExtras {
  /** The text of a `.dockerignore`. */
  readonly ignore?: string | undefined;
  /**
   * Says whether an image exists: for the requested platform, or for the architecture that it
   * returns.
   */
  readonly images?: (ref: string) => boolean | string;
}
