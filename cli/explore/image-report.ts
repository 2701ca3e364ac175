import { bytes } from '../../base/units.ts';
import type { ImageContents } from '../../images/contents/contents.ts';
import { printableName } from '../../images/contents/printable-name.ts';
import { table } from '../table.ts';
import { oneLine } from '../terminal/text.ts';
import type { LimitResult } from './image-limits.ts';

/** How many wasted paths and directories the report lists. */
const LISTED = 20;

/** The report of `kiln image explore` where nothing can be drawn. */
export function imageReport(image: ImageContents, limits: readonly LimitResult[]): string {
  const { wasted, layers } = image;
  const compressed =
    image.compressed === undefined ? '' : `, ${bytes(image.compressed)} compressed`;
  const facts = [
    ['Image:', `${oneLine(image.name ?? image.digest)} (${oneLine(image.platform)})`],
    ['Digest:', image.digest],
    ['Files:', `${count(image.files.files, 'file')}, ${bytes(image.files.bytes)}`],
    ['Layers:', `${layers.length}, ${bytes(image.bytes)}${compressed}`],
    [
      'Wasted:',
      `${bytes(wasted.bytes)} in ${count(wasted.paths, 'path')}, ` +
        `${rounded(wasted.share)} of what is above the first layer`,
    ],
    ['Efficiency:', rounded(image.efficiency)],
    ...limits.map(({ limit, wanted, found, isKept }) => [
      `${limit}:`,
      `${isKept ? 'kept' : 'NOT KEPT'}: ${found}, the limit is ${wanted}`,
    ]),
  ];
  const sections = [table(facts), layerTable(image)];
  for (const [at, { unreadable }] of layers.entries())
    if (unreadable)
      sections.push(
        `Layer ${at} cannot be read: ${oneLine(unreadable.text)} [${unreadable.code}]\n`,
      );
  if (wasted.largest.length > 0) sections.push(wastedTable(image));
  if (image.largest.length > 0)
    sections.push(
      table([
        ['SIZE', 'DIRECTORY'],
        ...image.largest
          .slice(0, LISTED)
          .map(({ path, bytes: size }) => [bytes(size), imagePath(path)]),
      ]),
    );
  return sections.join('\n');
}

function layerTable({ layers, history }: ImageContents): string {
  return table([
    ['LAYER', 'SIZE', 'WASTED', 'ADDED', 'CHANGED', 'REMOVED', 'CREATED BY'],
    ...layers.map((layer, at) => [
      String(at),
      bytes(layer.bytes),
      bytes(layer.wasted),
      String(layer.added.files),
      String(layer.changed.files),
      String(layer.removed.files),
      shownInstruction(
        layer.history === undefined ? '' : (history[layer.history]?.createdBy ?? ''),
      ),
    ]),
  ]);
}

function wastedTable({ wasted }: ImageContents): string {
  const shown = wasted.largest.slice(0, LISTED);
  return table([
    ['WASTED', 'LAYERS', 'BY LAYER', 'PATH'],
    ...shown.map(({ bytes: size, layers, hiddenBy, how, path }) => [
      bytes(size),
      layers.join(','),
      `${how} in ${hiddenBy}`,
      imagePath(path),
    ]),
  ]);
}

/** A path of an image on one line, without control characters. */
export function imagePath(path: string): string {
  return oneLine(`/${printableName(path)}`);
}

/** A line of the history on one line, without what every line has. */
export function shownInstruction(createdBy: string): string {
  return oneLine(createdBy)
    .replace(/ # buildkit$/, '')
    .replace(/^RUN \/bin\/sh -c /, 'RUN ')
    .replace(/^\/bin\/sh -c #\(nop\) +/, '')
    .replace(/^\/bin\/sh -c /, 'RUN ');
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

/** Two digits after the point, and never 100 % for less. */
export function rounded(share: number): string {
  return `${Math.floor(share * 10_000) / 100} %`;
}
