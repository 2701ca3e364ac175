/**
 * Two sums of 32 bits over words, by which one text is told from another, as in hash tables
 * (MurmurHash 3). A digest that withstands an attacker would take 4 ms here, in JavaScript as well
 * as by loading node:crypto.
 */
export function quickSum(words: Int32Array): readonly [number, number] {
  let one = 0x9747b28c;
  let other = words.length;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    const mixed = Math.imul(word, 0xcc9e2d51);
    one ^= Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
    one = Math.imul((one << 13) | (one >>> 19), 5) + 0xe6546b64;
    const turned = Math.imul(word, 0x239b961b);
    other ^= Math.imul((turned << 16) | (turned >>> 16), 0x38b34ae5);
    other = Math.imul((other << 17) | (other >>> 15), 5) + 0x561ccd1b + one;
  }
  return [spread(one), spread(other ^ one)];
}

function spread(sum: number): number {
  let mixed = Math.imul(sum ^ (sum >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** The bytes of a text as words, with zeros at the end. */
export function wordsOf(text: string): Int32Array {
  const bytes = Buffer.byteLength(text);
  const words = new Int32Array((bytes >> 2) + 1);
  Buffer.from(words.buffer).write(text);
  return words;
}
