import { resolve } from 'node:path';
import { describeRemote } from '../../exporter/imagetools/describe.ts';
import {
  openRemote,
  type RemoteImage,
  remoteConfigs,
  remoteManifest,
  remoteStatements,
} from '../../exporter/imagetools/inspect.ts';
import { parseLocation } from '../../exporter/imagetools/parse-location.ts';
import { RegistryClient } from '../../registry/client.ts';
import { type Command, newCommand, parseArguments, rejectCombination } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { stdout } from '../output.ts';
import { registryOptions } from '../registry-options.ts';
import { renderTemplate } from '../template/evaluate.ts';
import { mentions, parseTemplate, type TemplateNode } from '../template/parse.ts';

export function declareCommand(): Command {
  return newCommand('imagetools inspect', 'Show details of an image in a registry or an OCI layout')
    .argument('<name>', 'the name of the image in its registry, or oci-layout://PATH[:TAG]')
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
  using cancel = cancelOnSignals();
  const { signal } = cancel;
  await using client = new RegistryClient(await registryOptions(process.env));
  const options = { client, signal, resolvePath: (path: string) => resolve(path) };
  const location = parseLocation(command.args[0] ?? '', options);
  const image = await openRemote(location);
  if (raw) stdout.write(image.root.bytes);
  else if (template !== undefined) stdout.write(await formatted(image, template));
  else stdout.write(describeRemote(image, await location.referrers(image.root.digest)));
  return 0;
}

/** Renders the template. Fetches only the documents that the template mentions. */
async function formatted(image: RemoteImage, template: readonly TemplateNode[]): Promise<string> {
  const needs = (field: string) => mentions(template, field);
  const manifest = remoteManifest(image);
  const data = {
    name: image.location.name,
    manifest,
    image: needs('Image') || needs('') ? await remoteConfigs(image) : undefined,
    // Attestations are large, so they are fetched only when the template names them. `.` alone does
    // not contain them.
    ...(needs('Provenance') ? { provenance: await remoteStatements(image, 'SLSA') } : {}),
    ...(needs('SBOM') ? { sbom: await remoteStatements(image, 'SPDX') } : {}),
  };
  return renderTemplate(template, data, {
    indent: '  ',
    print: (value) => (value === manifest ? describeRemote(image, []) : undefined),
  });
}
