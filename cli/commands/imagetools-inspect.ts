import { parseReference } from '../../base/reference.ts';
import { describeRemote } from '../../exporter/imagetools/describe.ts';
import {
  openRemote,
  type RemoteImage,
  remoteConfigs,
  remoteManifest,
  remoteStatements,
} from '../../exporter/imagetools/inspect.ts';
import { RegistryClient } from '../../registry/client.ts';
import { type Command, newCommand, parseArguments, rejectCombination } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { stdout } from '../output.ts';
import { registryOptions } from '../registry-options.ts';
import { renderTemplate } from '../template/evaluate.ts';
import { mentions, parseTemplate, type TemplateNode } from '../template/parse.ts';

export function declareCommand(): Command {
  return newCommand('imagetools inspect', 'Show details of an image in a registry')
    .argument('<name>', 'the name of the image in its registry')
    .option('--raw', 'show the original manifest or index, unformatted')
    .option(
      '--format <template>',
      'format the output using a Go template (.Name, .Manifest, .Image, .Provenance, .SBOM)',
    );
}

/** `kiln imagetools inspect NAME [--raw | --format TEMPLATE]` */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { raw, format } = command.opts<{ raw?: boolean; format?: string }>();
  rejectCombination(command, '--raw', ['--format']);
  const template = format === undefined ? undefined : parseTemplate(format);
  const reference = parseReference(command.args[0] ?? '');
  using cancel = cancelOnSignals();
  await using client = new RegistryClient(await registryOptions(process.env));
  const image = await openRemote(client, reference, cancel.signal);
  if (raw) stdout.write(image.root.bytes);
  else if (template !== undefined)
    stdout.write(await formatted(client, image, template, cancel.signal));
  else
    stdout.write(
      describeRemote(image, await client.referrers(reference, image.root.digest, cancel.signal)),
    );
  return 0;
}

/** Renders the template. Fetches only the documents that the template mentions. */
async function formatted(
  client: RegistryClient,
  image: RemoteImage,
  template: readonly TemplateNode[],
  signal: AbortSignal,
): Promise<string> {
  const needs = (field: string) => mentions(template, field);
  const manifest = remoteManifest(image);
  const data = {
    name: image.name,
    manifest,
    image: needs('Image') || needs('') ? await remoteConfigs(client, image, signal) : undefined,
    // Attestations are large, so they are fetched only when the template names them. `.` alone does
    // not contain them.
    ...(needs('Provenance')
      ? { provenance: await remoteStatements(client, image, 'SLSA', signal) }
      : {}),
    ...(needs('SBOM') ? { sbom: await remoteStatements(client, image, 'SPDX', signal) } : {}),
  };
  return renderTemplate(template, data, {
    indent: '  ',
    print: (value) => (value === manifest ? describeRemote(image, []) : undefined),
  });
}
