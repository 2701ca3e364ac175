import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { parsePort } from '../page/page-port.ts';

export function declareOpen(): Command {
  return newCommand('history open', 'Show a build in a browser')
    .argument('[build]', 'a ref, an ID, the beginning of one, or ^N (default: the last build)')
    .option('--port <port>', 'listen on this port of 127.0.0.1 (default: one that is free)')
    .option('--no-open', 'print the address, and open no browser');
}

/** `kiln history open [BUILD]`: serves the page of a build until a signal ends it. */
export async function openBuild(argv: readonly string[]): Promise<number> {
  const command = declareOpen();
  if (!parseArguments(command, argv)) return 0;
  const { port, open } = command.opts<{ port?: string; open: boolean }>();
  const { showPage } = await import('../page/show-page.ts');
  return await showPage({
    build: command.args[0] ?? '^0',
    port: port === undefined ? 0 : parsePort(port, '--port'),
    opensNoBrowser: !open,
  });
}
