import { describeImage } from '../../images/describe.ts';
import { findImage } from '../../images/find-image.ts';
import { type Command, newCommand, Option, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';

export function declareCommand(): Command {
  return newCommand('inspect', 'Print the config and descriptors of an image as JSON')
    .argument('<image...>', 'names in the local store, or image IDs')
    .option(
      '-f, --format <template>',
      "format the output using a Go template, such as '{{json .Config.Env}}'",
    )
    .addOption(new Option('--type <type>', 'image: Kiln has nothing else').choices(['image']));
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
    documents.push(await describeImage(engine, findImage(engine.images, text)));
  if (format === undefined) stdout.write(`${JSON.stringify(documents, null, 4)}\n`);
  else {
    const { renderTemplate } = await import('../template/evaluate.ts');
    for (const document of documents) stdout.write(`${renderTemplate(format, document)}\n`);
  }
  return 0;
}
