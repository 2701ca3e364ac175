import { arch } from 'node:os';
import { Option } from 'commander';
import { newCommand, parseArguments } from './arguments.ts';
import { stdout } from './output.ts';
import { VERSION } from './version.ts';

/**
 * `kiln version --format FORMAT`: `json`, or a Go template such as `{{.Client.Version}}`, as docker
 * has it. Kiln has no server. Throws KILN_TEMPLATE_INVALID.
 */
export async function formattedVersion(argv: readonly string[]): Promise<number> {
  const command = newCommand('version', 'Print the version of Kiln').addOption(
    new Option('-f, --format <format>', "format the output: 'json' or a Go template"),
  );
  if (!parseArguments(command, argv)) return 0;
  const { format } = command.opts<{ format?: string }>();
  const goArch = { x64: 'amd64', ia32: '386' }[arch() as 'x64'] ?? arch();
  const data = {
    Client: { Version: VERSION, Os: 'linux', Arch: goArch, NodeVersion: process.versions.node },
  };
  if (format === undefined) stdout.write(`kiln version ${VERSION}\n`);
  else if (format === 'json') stdout.write(`${JSON.stringify(data)}\n`);
  else {
    const { renderTemplate } = await import('./template/evaluate.ts');
    stdout.write(`${renderTemplate(format, data)}\n`);
  }
  return 0;
}
