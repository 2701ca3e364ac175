import type { Engine } from '../../builder/engine.ts';
import { findImage, isUntagged, shownName } from '../../images/find-image.ts';
import { readAllPlatforms, readImage } from '../../images/read.ts';
import { sizesOfLayers, totalSizes } from '../../images/sizes.ts';
import type { StoredImage } from '../../snapshotter/images.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';

export function declareCommand(): Command {
  return newCommand('inspect', 'Print the config and descriptors of an image as JSON')
    .argument('<image...>', 'names in the local store, or image IDs')
    .option(
      '-f, --format <template>',
      "format the output using a Go template, such as '{{json .Config.Env}}'",
    );
}

/**
 * `kiln inspect [--format TEMPLATE] IMAGE…`: prints JSON in the form of `docker image inspect`. It
 * describes the image for this host's platform, and lists the image's other platforms.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { format } = command.opts<{ format?: string }>();
  await using engine = openLocalEngine();
  const documents = [];
  for (const text of command.args)
    documents.push(await describe(engine, findImage(engine.images, text)));
  if (format === undefined) stdout.write(`${JSON.stringify(documents, null, 4)}\n`);
  else {
    const { renderTemplate } = await import('../template/evaluate.ts');
    for (const document of documents) stdout.write(`${renderTemplate(format, document)}\n`);
  }
  return 0;
}

async function describe(engine: Engine, image: StoredImage): Promise<unknown> {
  const { descriptor, manifest, config } = readImage(engine.content, image.target);
  const { unpacked, compressed } = totalSizes(await sizesOfLayers(engine, { manifest, config }));
  const names = engine.images
    .list()
    .filter((other) => other.target.digest === image.target.digest && !isUntagged(other.name));
  return {
    Id: manifest.config.digest,
    RepoTags: names.map((other) => shownName(other.name)),
    Created: config.created,
    Author: config.author,
    Config: config.config ?? {},
    Architecture: config.architecture,
    Variant: config.variant,
    Os: config.os,
    // Undefined, and left out, where the store does not know it.
    Size: unpacked,
    CompressedSize: compressed,
    RootFS: { Type: 'layers', Layers: config.rootfs?.diff_ids ?? [] },
    Descriptor: image.target,
    Manifest: descriptor.digest,
    Layers: manifest.layers,
    Platforms: readAllPlatforms(engine.content, image.target).map((one) =>
      [one.config.os, one.config.architecture, one.config.variant].filter(Boolean).join('/'),
    ),
  };
}
