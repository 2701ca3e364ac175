import { StringDecoder } from 'node:string_decoder';
import { imageContents } from '../../images/contents/image-contents.ts';
import type { OpenContents } from '../../images/contents/open-contents.ts';
import { stdout } from '../output.ts';
import { colorEnabled, sizeFor } from '../terminal/terminal-size.ts';
import { drawExplorer } from './draw.ts';
import { Explorer } from './explorer.ts';
import { keysIn } from './keys.ts';

/** The screen beside the usual one, without cursor and without wrapping (xterm, ctlseqs). */
const ENTER = '\u001b[?1049h\u001b[?25l\u001b[?7l';
const LEAVE = '\u001b[?7h\u001b[?25h\u001b[?1049l';
/** Between these two, a terminal that knows them shows nothing until the end. */
const BEGIN = '\u001b[?2026h\u001b[H';
const END = '\u001b[?2026l';

/**
 * Draws an image on the whole terminal until the user quits. The terminal is then as it was. Throws
 * the reason of `signal` when it is aborted.
 */
export async function explore(contents: OpenContents, signal: AbortSignal): Promise<void> {
  const image = imageContents(contents);
  const explorer = new Explorer(contents);
  const { stdin } = process;
  const decoder = new StringDecoder('utf8');
  const draw = () => {
    const size = sizeFor(stdout, process.env);
    const lines = drawExplorer(explorer, image, size, colorEnabled(process.env));
    stdout.control(`${BEGIN}${lines.join('\r\n')}${END}`);
  };
  const ended = Promise.withResolvers<void>();
  const read = (chunk: Buffer) => {
    for (const key of keysIn(decoder.write(chunk))) explorer.press(key);
    if (explorer.isDone) ended.resolve();
    else draw();
  };
  const cancelled = () => ended.reject(signal.reason);
  const closed = () => ended.resolve();
  stdin.setRawMode(true);
  stdout.control(ENTER);
  try {
    draw();
    signal.addEventListener('abort', cancelled, { once: true });
    process.stdout.on('resize', draw);
    stdin.on('data', read).on('end', closed).on('close', closed).resume();
    signal.throwIfAborted();
    await ended.promise;
  } finally {
    signal.removeEventListener('abort', cancelled);
    process.stdout.off('resize', draw);
    stdin.off('data', read).off('end', closed).off('close', closed).pause();
    stdin.setRawMode(false);
    stdout.control(LEAVE);
  }
}
