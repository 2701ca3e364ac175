import type { Random } from './random.ts';

/**
 * A few random edits to one text of `corpus`: pieces are cut out, doubled, swapped, copied from
 * another text, or replaced by one of `tokens`.
 */
export function mutateText(
  random: Random,
  corpus: readonly string[],
  tokens: readonly string[],
): string {
  let text = random.pick(corpus);
  for (let edits = 1 + random.int(4); edits > 0; edits--) {
    const at = random.int(text.length + 1);
    const end = Math.min(text.length, at + 1 + random.int(random.one(3) ? 40 : 4));
    const [before, piece, after] = [text.slice(0, at), text.slice(at, end), text.slice(end)];
    const other = random.pick(corpus);
    const from = random.int(other.length + 1);
    switch (random.int(8)) {
      case 0:
        text = before + after;
        break;
      case 1:
        text = before + piece + piece + after;
        break;
      case 2:
        text = before + other.slice(from, from + 1 + random.int(60)) + after;
        break;
      case 3:
        text =
          before +
          String.fromCharCode(random.one(8) ? random.int(0x10000) : random.int(128)) +
          after;
        break;
      case 4: {
        const lines = text.split('\n');
        const [one, two] = [random.int(lines.length), random.int(lines.length)];
        [lines[one], lines[two]] = [lines[two]!, lines[one]!];
        text = lines.join('\n');
        break;
      }
      default:
        text = before + random.pick(tokens) + (random.one(2) ? piece : '') + after;
    }
  }
  // Text read from a file is UTF-8 and never contains a lone surrogate.
  return text.toWellFormed();
}

/** The same for bytes, with numbers at the limits of what a field can hold. */
export function mutateBytes(random: Random, corpus: readonly Uint8Array[]): Uint8Array {
  let bytes = Buffer.from(random.pick(corpus));
  for (let edits = 1 + random.int(4); edits > 0; edits--) {
    const at = random.int(bytes.length + 1);
    const end = Math.min(bytes.length, at + 1 + random.int(8));
    const other = random.pick(corpus);
    const from = random.int(other.length + 1);
    const middle = random.pick([
      Buffer.alloc(0),
      Buffer.from([random.int(256)]),
      Buffer.from(other.subarray(from, from + 1 + random.int(30))),
      Buffer.concat([bytes.subarray(at, end), bytes.subarray(at, end)]),
      Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
      Buffer.from([0x80, 0x80, 0x80, 0x80, 0x10]),
    ]);
    bytes = Buffer.concat([
      bytes.subarray(0, at),
      middle,
      bytes.subarray(random.one(2) ? at : end),
    ]);
  }
  return bytes;
}
