import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { parsePort } from '../page/page-port.ts';
import { showPage } from '../page/show-page.ts';

export function declareCommand(): Command {
  return newCommand('ui', 'Show builds in a browser: what ran when, what was cached and why not')
    .argument('[build]', 'a ref, an ID, the beginning of one, or ^N (default: all builds)')
    .option('--port <port>', 'listen on this port of 127.0.0.1 (default: one that is free)')
    .option('--no-open', 'print the address, and open no browser');
}

/** `kiln ui [BUILD]`: serves the page of builds until a signal ends it. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { port, open } = command.opts<{ port?: string; open: boolean }>();
  return await showPage({
    build: command.args[0],
    port: port === undefined ? 0 : parsePort(port, '--port'),
    opensNoBrowser: !open,
  });
}
