import { ConnectError } from '@connectrpc/connect';
import { stderr } from '../output.ts';
import { plainLine } from '../terminal/text.ts';

const STACK = /(?:^|\/)stack\.Stack(?:\+json)?$/;

/**
 * Prints where an error was made, as BuildKit's `buildctl --debug` does: first in the server, as
 * far as it tells, then here.
 */
export function printStacks(error: unknown): void {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof ConnectError)
      for (const detail of cause.details)
        if ('type' in detail && STACK.test(detail.type)) printTold(detail.value);
    if (!(cause.cause instanceof Error) && cause.stack) stderr.write(`${cause.stack}\n\n`);
  }
}

function printTold(bytes: Uint8Array): void {
  let told: unknown;
  try {
    told = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return;
  }
  if (typeof told !== 'object' || told === null) return;
  const { pid, version, cmdline, frames } = told as Readonly<Record<string, unknown>>;
  const head = [pid, version, ...(Array.isArray(cmdline) ? cmdline : [])].filter(Boolean);
  const lines = (Array.isArray(frames) ? frames : []).map((frame: Record<string, unknown>) => {
    const [name, file, line] = ['Name', 'File', 'Line'].map(
      (key) => frame[key] ?? frame[key.toLowerCase()] ?? '',
    );
    return `${plainLine(String(name))}\n\t${plainLine(`${file}:${line}`)}`;
  });
  stderr.write(`${[plainLine(head.join(' ')), ...lines].join('\n')}\n\n`);
}
