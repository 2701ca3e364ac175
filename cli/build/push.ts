import { KilnError } from '../../base/errors.ts';
import { parseReference } from '../../base/reference.ts';
import { imageResponse, packedImage } from '../../exporter/assembling.ts';
import type { Exporter } from '../../exporter/exporter.ts';
import { putDocuments } from '../../exporter/image-store.ts';
import type { ImageOptions } from '../../exporter/options.ts';
import { reported } from '../../exporter/progress.ts';
import { pushImage, storedImage } from '../../exporter/push.ts';
import { RegistryClient } from '../../registry/client.ts';
import { registryOptions } from '../registry-options.ts';
import type { Session } from '../session.ts';

interface PushSpec {
  readonly image: ImageOptions;
  /** Into the local image store as well. */
  readonly store: boolean;
}

/** `type=image,push=true` and `type=registry`: the image with compressed layers, to every name's registry. */
export function pushExporter(session: Session, { image: options, store }: PushSpec): Exporter {
  const name = 'exporting to image';
  return {
    name,
    export: (targets, context) =>
      reported(name, context, async (report) => {
        if (options.names.length === 0) {
          throw new KilnError('KILN_OUTPUT_INVALID', 'a push needs a name', {
            place: { kind: 'flag', flag: '--push' },
            hint: 'name the image with -t',
            exitCode: 2,
          });
        }
        const image = await packedImage(session, options, targets, context, options.ociTypes ?? true, report);
        putDocuments(session.content, image);
        const configs = image.manifests.map(({ config }) => config.digest);
        for (const full of store ? options.names : [])
          session.images.put({ name: full, target: image.target, configs, created: Date.now() });
        await using client = new RegistryClient(await registryOptions(process.env));
        const references = options.names.map(parseReference);
        await report.task('pushing layers', () =>
          pushImage(client, storedImage(session.content, image.target), references, { signal: context.signal }),
        );
        for (const full of options.names) report.done(`pushing manifest for ${full}@${image.target.digest}`);
        return imageResponse(image, options.names);
      }),
  };
}
