import { readHeader } from '../../builder/history/build-log.ts';
import { findBuild, listBuilds } from '../../history/list-builds.ts';
import { readBuildView } from '../../history/read-build.ts';
import { buildSpans } from '../../history/trace/build-spans.ts';
import { jaegerDocument } from '../../history/trace/jaeger.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { VERSION } from '../version.ts';

export function declareTrace(): Command {
  return newCommand('history trace', 'Print the trace of a build, in the form of Jaeger')
    .argument('[build]', 'the ID of a build, or ^N for the one N before the last (default: ^0)')
    .option('--compare <build>', 'also print the trace of another build');
}

/** `kiln history trace`: JSON that the user interface of Jaeger opens. */
export async function trace(argv: readonly string[]): Promise<number> {
  const command = declareTrace();
  if (!parseArguments(command, argv)) return 0;
  const { compare } = command.opts<{ compare?: string }>();
  await using engine = openLocalEngine();
  const directory = engine.store.logs;
  const builds = listBuilds(directory);
  const wanted = [command.args[0], ...(compare === undefined ? [] : [compare])];
  const traces = wanted.map((name) => {
    const { id } = findBuild(builds, name);
    const { traceparent } = readHeader(directory, id);
    return buildSpans(readBuildView(directory, id), {
      traceparent: typeof traceparent === 'string' ? traceparent : undefined,
      version: VERSION,
    });
  });
  stdout.write(`${JSON.stringify(jaegerDocument(traces), undefined, 2)}\n`);
  return 0;
}
