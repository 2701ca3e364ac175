import { resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { attempt, reading } from '../../base/oserror.ts';
import { readNamedFile } from '../../base/regular-file.ts';
import { type Annotation, parseAnnotation } from '../../exporter/annotations.ts';
import { indentedJson } from '../../exporter/image-documents.ts';
import {
  type CreatedImage,
  combine,
  parseSources,
  partsFor,
} from '../../exporter/imagetools/create.ts';
import type { ImageLocation } from '../../exporter/imagetools/image-location.ts';
import { parseLocation } from '../../exporter/imagetools/parse-location.ts';
import { putParts } from '../../exporter/imagetools/put-parts.ts';
import { RegistryClient } from '../../registry/client.ts';
import { parsePlatformForHost } from '../../registry/platforms.ts';
import {
  type Command,
  collect,
  newCommand,
  Option,
  parseArguments,
  suggestValues,
} from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { flagError } from '../flag-error.ts';
import { stdout } from '../output.ts';
import { PROGRESS_MODES } from '../progress/view.ts';
import { progressMode } from '../progress-mode.ts';
import { registryOptions } from '../registry-options.ts';
import { writeMetadataFile } from '../result-files.ts';
import { withTransferProgress } from '../transfer-progress.ts';

interface Flags {
  readonly tag?: readonly string[];
  readonly file?: readonly string[];
  readonly annotation?: readonly string[];
  readonly platform?: readonly string[];
  readonly append?: boolean;
  readonly dryRun?: boolean;
  readonly metadataFile?: string;
  readonly preferIndex: string;
  readonly progress?: string;
}

const ACTIVITIES = {
  registry: ['Pushing', 'pushing'],
  layout: ['Exporting', 'writing'],
} as const;

export function declareCommand(): Command {
  const command = newCommand('imagetools create', 'Create a new image from images in registries')
    .argument('[source...]', 'NAME, oci-layout://PATH[:TAG], a digest, or a descriptor as JSON')
    .option(
      '-t, --tag <name>',
      'set the name of the new image, or oci-layout://PATH[:TAG]',
      collect,
    )
    .option('-f, --file <file>', 'read a source from a file', collect)
    .option('--append', 'append to the image that already has the tag')
    .option(
      '--annotation <annotation>',
      'add an annotation: index:KEY=VALUE or manifest-descriptor[PLATFORM]:KEY=VALUE',
      collect,
    )
    .option('-p, --platform <platform>', 'use only these platforms of the sources', collect)
    .addOption(
      new Option('--prefer-index <bool>', 'make an index even of a single source')
        .choices(['true', 'false', '1', '0', 't', 'f'])
        .default('true'),
    )
    .option('--metadata-file <file>', 'write metadata of the new image to a file')
    .option('--dry-run', 'show the final image instead of pushing it')
    .option(
      '--progress <type>',
      'set type of progress output (default: BUILDKIT_PROGRESS, or auto)',
    );
  return suggestValues(command, { '--progress': PROGRESS_MODES });
}

/** `kiln imagetools create -t NAME SOURCE…`: makes an index of images elsewhere. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<Flags>();
  progressMode(flags.progress, process.env);
  const texts = [...(flags.file ?? []).map(readSourceFile), ...command.args];
  const names = flags.tag ?? [];
  if (names.length === 0 && !flags.dryRun)
    throw usage('the new image has no name', 'name it with --tag, or print it with --dry-run');
  if (flags.append && names.length === 0)
    throw usage('--append needs --tag', 'give the name of the image to append to');
  if (texts.length === 0 && !flags.append)
    throw usage('there are no sources', 'give the images that the new image is made of');
  using cancel = cancelOnSignals();
  const { signal } = cancel;
  await using client = new RegistryClient(await registryOptions(process.env));
  const resolvePath = (path: string) => resolve(path);
  const options = { client, signal, resolvePath };
  const locate = (text: string) => parseLocation(text, options);
  const tags = names.map(locate);
  const sources = [
    ...(flags.append && tags[0] ? [{ location: tags[0] }] : []),
    ...parseSources(texts, tags, locate),
  ];
  const created = await combine(sources, {
    annotations: (flags.annotation ?? []).map(annotationOf),
    platforms: flags.platform?.flatMap((text) => text.split(',')).map(parsePlatformForHost),
    preferIndex: !/^(false|0|f)$/i.test(flags.preferIndex),
  });
  if (flags.dryRun) {
    stdout.write(`${Buffer.from(created.document.bytes).toString()}\n`);
    return 0;
  }
  for (const group of Map.groupBy(tags, ({ home }) => home).values()) {
    const [to] = group;
    if (!to) continue;
    await using scope = new AsyncDisposableStack();
    const parts = await partsFor(created, to, scope);
    const [activity, doing] =
      to.target.kind === 'registry' ? ACTIVITIES.registry : ACTIVITIES.layout;
    await withTransferProgress(activity, `[internal] ${doing} ${to.home}`, flags, (report) =>
      putParts(parts, group, { client, signal, report }),
    );
  }
  if (flags.metadataFile !== undefined)
    await writeMetadataFile(flags.metadataFile, metadataOf(created, tags), signal);
  return 0;
}

/** What buildx writes: the descriptor of the new image, and its names. */
function metadataOf({ document }: CreatedImage, tags: readonly ImageLocation[]): string {
  const { mediaType, digest, bytes } = document;
  const descriptor = { mediaType, digest, size: bytes.byteLength };
  const names = tags.map(({ name }) => name).join(',');
  return indentedJson({ 'containerimage.descriptor': descriptor, 'image.name': names });
}

function readSourceFile(path: string): string {
  const about = { ...reading('the source', path), exitCode: 2 } as const;
  return attempt(about, () => readNamedFile(path)).toString();
}

/**
 * Parses `TARGET[PLATFORM]:KEY=VALUE`. The target `manifest` is refused, because manifests of the
 * sources cannot be changed.
 */
function annotationOf(text: string): Annotation {
  const [, target = '', key = '', value = ''] =
    /^(index|manifest-descriptor(?:\[[^\]]+\])?):([^=]+)=(.*)$/s.exec(text) ?? [];
  const parsed = target === '' ? undefined : parseAnnotation(`annotation-${target}.${key}`, value);
  if (parsed) return parsed;
  throw flagError(
    '--annotation',
    `${JSON.stringify(text)} is not an annotation for an index of existing images`,
    'write index:KEY=VALUE or manifest-descriptor:KEY=VALUE',
  );
}

function usage(message: string, hint: string): KilnError {
  return new KilnError('KILN_USAGE', message, { hint, exitCode: 2 });
}
