import { type Command, newGroup } from '../arguments.ts';
import { dockerGroupHelp } from '../docker-commands.ts';
import { stdout } from '../output.ts';

const SUBCOMMANDS = {
  prune: () => import('./image-prune.ts'),
  history: () => import('./image-history.ts'),
  explore: () => import('./image-explore.ts'),
  diff: () => import('./image-diff.ts'),
} as const;

/** Declares Kiln's own subcommands. `dockerGroupHelp` lists the other ones. */
export async function declareCommand(): Promise<Command> {
  const commands: Command[] = [];
  for (const load of Object.values(SUBCOMMANDS)) commands.push((await load()).declareCommand());
  return newGroup(
    'image',
    "Look into images, compare them, and remove those without a name; docker's other image " +
      'subcommands are accepted, too',
    commands,
  );
}

/**
 * Kiln's own subcommands of `kiln image`. `main` translates docker's other subcommands of this
 * group before it comes here (docker-commands.ts).
 */
export async function run(argv: readonly string[]): Promise<number> {
  const [name = '', ...rest] = argv;
  if (isOwn(name)) return await (await SUBCOMMANDS[name]()).run(rest);
  stdout.write(dockerGroupHelp('image'));
  return 0;
}

function isOwn(name: string): name is keyof typeof SUBCOMMANDS {
  return Object.hasOwn(SUBCOMMANDS, name);
}
