import { KilnError } from '../../base/errors.ts';
import { familiarName, parseReference, repositoryOf } from '../../base/reference.ts';
import { findImage, fullName, isUntagged } from '../../images/find-image.ts';
import { imageForPlatform } from '../../images/for-platform.ts';
import { pushStored } from '../../images/push-stored.ts';
import type { ImageStore, StoredImage } from '../../snapshotter/images.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { platformFlag } from '../platform-flag.ts';
import { registryOptions } from '../registry-options.ts';
import { withTransferProgress } from '../transfer-progress.ts';

export function declareCommand(): Command {
  return newCommand('push', 'Upload an image to a registry')
    .argument('<image>', 'a name in the local store, or an image ID')
    .argument('[name]', 'the name in the registry (default: the name in the local store)')
    .option('-a, --all-tags', 'upload all images of the repository in the local store')
    .option('--platform <platform>', 'upload only this platform of the image')
    .option('-q, --quiet', 'suppress the progress output');
}

/** `kiln push IMAGE [NAME]`: uploads an image, under its name in the local store or another. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<{ allTags?: boolean; platform?: string; quiet?: boolean }>();
  const [source = '', name = source] = command.args;
  const platform = platformFlag(flags.platform, {});
  if (flags.allTags && command.args.length > 1)
    throw usage('--all-tags uploads each image under its own name', 'leave out the second name');
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const { signal } = cancel;
  const images = flags.allTags
    ? imagesOfRepository(engine.images, source)
    : [{ image: findImage(engine.images, source), target: fullName(name) }];
  const registry = await registryOptions(process.env);
  for (const { image, target } of images) {
    const pushed = imageForPlatform(engine.content, image, platform);
    const digest = await withTransferProgress('Pushing', `pushing ${target}`, flags, (report) =>
      pushStored(engine, pushed, target, { registry, signal, report }),
    );
    stdout.write(`${target}@${digest}\n`);
  }
  return 0;
}

/** The images of a repository by their names. Throws KILN_USAGE and KILN_IMAGE_NOT_FOUND. */
function imagesOfRepository(
  images: ImageStore,
  text: string,
): readonly { readonly image: StoredImage; readonly target: string }[] {
  const { tag, digest, ...repository } = parseReference(text);
  if (digest !== undefined || text.endsWith(`:${tag}`))
    throw usage('with --all-tags the name has no tag', `write ${familiarName(repository)}`);
  const wanted = repositoryOf(repository);
  const found = images
    .list()
    .filter(({ name }) => !isUntagged(name) && repositoryOf(parseReference(name)) === wanted)
    .map((image) => ({ image, target: image.name }));
  if (found.length > 0) return found;
  throw new KilnError('KILN_IMAGE_NOT_FOUND', `the store has no image of ${text}`, {
    hint: "'kiln images' lists the images",
  });
}

function usage(message: string, hint: string): KilnError {
  return new KilnError('KILN_USAGE', message, { hint, exitCode: 2 });
}
