import { KilnError } from '../../base/errors.ts';
import { formatPlatform } from '../../base/platform.ts';
import { runnableArchitectures } from '../../executor/emulation/found-emulators.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { type Command, newCommand, newGroup, parseArguments } from '../arguments.ts';
import { dockerGroupHelp } from '../docker-commands.ts';
import { stdout } from '../output.ts';
import { VERSION } from '../version.ts';

/** The name of the one builder there is, as docker calls its own. */
const NAME = 'default';

const lsCommand = () =>
  newCommand('buildx ls', 'List the one builder there is: this host').option(
    '--format <format>',
    "format the output: 'table', 'json' or a Go template",
  );

const inspectCommand = () =>
  newCommand('buildx inspect', 'Describe the one builder there is: this host')
    .argument('[name]', 'default')
    .option('--bootstrap', 'no effect: nothing has to be started');

export function declareCommand(): Command {
  return newGroup('buildx', "Docker's names for commands of Kiln", [lsCommand(), inspectCommand()]);
}

/** `kiln buildx ls` and `kiln buildx inspect`, for scripts that ask for platforms. */
export async function run(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === 'ls') return await list(rest);
  if (name === 'inspect') return inspect(rest);
  stdout.write(dockerGroupHelp('buildx'));
  return 0;
}

async function list(argv: readonly string[]): Promise<number> {
  const command = lsCommand();
  if (!parseArguments(command, argv)) return 0;
  const { format } = command.opts<{ format?: string }>();
  const row = {
    Name: NAME,
    DriverEndpoint: 'kiln',
    Status: 'running',
    Buildkit: `kiln-${VERSION}`,
    Platforms: platforms().join(', '),
  };
  const columns = {
    Name: 'NAME',
    DriverEndpoint: 'DRIVER/ENDPOINT',
    Status: 'STATUS',
    Buildkit: 'BUILDKIT',
    Platforms: 'PLATFORMS',
  };
  const { printRows } = await import('../template/rows.ts');
  printRows([row], columns, Object.keys(columns), format);
  return 0;
}

function inspect(argv: readonly string[]): number {
  const command = inspectCommand();
  if (!parseArguments(command, argv)) return 0;
  const name = command.args[0] ?? NAME;
  if (name !== NAME)
    throw new KilnError('KILN_USAGE', `there is no builder ${JSON.stringify(name)}`, {
      hint: 'Kiln has one builder, this host. It is called default',
      exitCode: 2,
    });
  const lines = [
    ['Name', NAME],
    ['Driver', 'kiln'],
    ['Status', 'running'],
    ['BuildKit version', `kiln-${VERSION}`],
    ['Platforms', platforms().join(', ')],
  ];
  for (const [title, value] of lines) stdout.write(`${`${title}:`.padEnd(18)}${value}\n`);
  return 0;
}

/** The platforms whose steps run here, this host's first. */
function platforms(): readonly string[] {
  const host = hostPlatform();
  const others = runnableArchitectures().filter((one) => one !== host.architecture);
  return [formatPlatform(host), ...others.map((architecture) => `linux/${architecture}`)];
}
