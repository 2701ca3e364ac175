import { resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { writing } from '../../base/oserror.ts';
import { writeFile } from '../../exporter/destination.ts';
import {
  type Command,
  collect,
  groupUsage,
  newCommand,
  newGroup,
  parseArguments,
  suggestValues,
} from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { dumpLlb } from '../dump-llb.ts';
import { flagError } from '../flag-error.ts';
import { requireWholeOutput, stdout } from '../output.ts';

export function declareCommand(): Command {
  return newGroup('debug', 'Debugging commands', [declareDump()]);
}

function declareDump(): Command {
  return suggestValues(
    newCommand('debug dump-llb', 'Print the LLB graph of a Dockerfile')
      .argument('[path]', 'the context directory', '.')
      .option('-f, --file <file>', 'name of the Dockerfile (default: PATH/Dockerfile)')
      .option('--target <stage>', 'set the target build stage')
      .option('--build-arg <name=value>', 'set build-time variables', collect)
      .option('--platform <platform>', 'set the target platform')
      .option('--format <format>', 'json or binary (a protobuf Definition)', 'json')
      .option('-o, --output <file>', 'write to a file instead of standard output'),
    { '--format': ['json', 'binary'] },
  );
}

/** `kiln debug dump-llb [-f FILE] [--target T] [--format=json|binary] PATH` */
export async function run(argv: readonly string[]): Promise<number> {
  const [sub, ...rest] = argv;
  if (sub === '--help' || sub === '-h') {
    stdout.write(groupUsage(declareCommand()));
    return 0;
  }
  if (sub !== 'dump-llb') {
    throw new KilnError(
      'KILN_USAGE',
      sub === undefined ? 'a debug command is required' : `unknown debug command: ${sub}`,
      {
        hint: "'kiln debug dump-llb PATH' prints the graph of a Dockerfile",
        exitCode: 2,
      },
    );
  }
  const command = declareDump();
  if (!parseArguments(command, rest)) return 0;
  const flags = command.opts<{
    file?: string;
    target?: string;
    buildArg?: string[];
    platform?: string;
    format: string;
    output?: string;
  }>();
  if (flags.format !== 'json' && flags.format !== 'binary')
    throw flagError('--format', `unknown format: ${flags.format}`, 'write json or binary');
  const bytes = await dumpLlb(command.processedArgs[0] as string, {
    ...flags,
    format: flags.format,
  });
  const { output } = flags;
  if (output !== undefined) {
    using cancel = cancelOnSignals();
    await writeFile(resolve(output), bytes, writing('the graph', output), cancel.signal);
  } else {
    // A terminal is shown text, in which control characters of the Dockerfile are made visible.
    stdout.write(stdout.isTTY ? Buffer.from(bytes).toString() : bytes);
    requireWholeOutput();
  }
  return 0;
}
