/**
 * A frontend for BuildKit and Kiln: it turns a build file in YAML into a graph (LLB). Fields of
 * messages are numbered as in BuildKit's gateway.proto.
 */
import { parse } from 'yaml';
import { call, fieldsOf, options, serve, solve } from './bridge.ts';
import { copied, definitionOf, executed, local, message, source } from './graph.ts';

await serve(async () => {
  const filename = options.get('filename') ?? 'build.yaml';
  const directory = await solve(definitionOf(local('dockerfile', [filename])));
  const id = fieldsOf(directory).get(1)!;
  const read = await call('ReadFile', message([1, id], [2, filename]));
  const file = parse(Buffer.from(read.get(1)!).toString());
  const base = await call('ResolveImageConfig', message([1, file.base]));
  const image = JSON.parse(Buffer.from(base.get(2)!).toString());
  image.config = { ...image.config, ...file.config };
  let tree = source(`docker-image://${file.base}`);
  for (const [from, to] of Object.entries<string>(file.copy ?? {}))
    tree = copied(tree, local('context'), from, to);
  const network = options.get('force-network-mode') === 'host' ? 1 : 0;
  for (const command of file.run ?? [])
    tree = executed(tree, command, image.config.Env ?? [], network);
  const config = message([1, 'containerimage.config'], [2, JSON.stringify(image)]);
  return message([3, await solve(definitionOf(tree))], [10, config]);
});
