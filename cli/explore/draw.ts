import { cellsOf, cutToCells, padToCells } from '../../base/cells.ts';
import { bytes } from '../../base/units.ts';
import type { ContentsEntry, ImageContents } from '../../images/contents/contents.ts';
import { contentsEntry } from '../../images/contents/directory.ts';
import { printableName } from '../../images/contents/printable-name.ts';
import type { Size } from '../terminal/terminal-size.ts';
import { oneLine } from '../terminal/text.ts';
import type { Explorer } from './explorer.ts';
import { imagePath, rounded, shownInstruction } from './image-report.ts';
import { modeText } from './mode-text.ts';

/** With fewer columns there is room for one pane only. */
const TWO_PANES = 60;
/** With fewer cells in the pane of files the mode is left out, and the owner. */
const MODE = 44;
const OWNER = 56;
const REVERSE = '7';
const BOLD = '1';
const DIM = '2';
const HUES: Readonly<Record<ContentsEntry['change'], string>> = {
  added: '32',
  changed: '33',
  removed: '31',
  unchanged: '',
};
const LETTERS: Readonly<Record<ContentsEntry['change'], string>> = {
  added: 'A',
  changed: 'M',
  removed: 'R',
  unchanged: ' ',
};

/** The rows of the whole screen, each of exactly its width, in colours or without. */
export function drawExplorer(
  explorer: Explorer,
  image: ImageContents,
  { columns, rows }: Size,
  color: boolean,
): string[] {
  const style = (text: string, codes: string) =>
    codes === '' || (!color && codes !== REVERSE) ? text : `\u001b[${codes}m${text}\u001b[0m`;
  const body = Math.max(1, rows - 2);
  explorer.fit(Math.max(1, body - 1));
  const isWide = columns >= TWO_PANES;
  const left = isWide ? Math.floor(columns * 0.42) : columns;
  const right = isWide ? columns - left - 1 : columns;
  const layers = () => layerPane(explorer, image, left, body, style);
  const files = () => filePane(explorer, right, body, style);
  const panes = isWide
    ? beside(layers(), files(), left, right, body, style('│', DIM))
    : fill(explorer.pane === 'layers' ? layers() : files(), columns, body);
  const lines = [style(fit(title(image), columns), BOLD), ...panes];
  return [
    ...lines,
    style(fit(bottomLine(explorer), columns), explorer.isTyping ? BOLD : DIM),
  ].slice(0, rows);
}

type Style = (text: string, codes: string) => string;

/** A line of a pane: text of exactly the width of the pane, with styles. */
type Line = string;

function title(image: ImageContents): string {
  const { wasted, efficiency, files } = image;
  return (
    `${oneLine(image.name ?? image.digest.slice(0, 19))}  ${bytes(files.bytes)}  ` +
    `efficiency ${rounded(efficiency)}  wasted ${bytes(wasted.bytes)}`
  );
}

function bottomLine(explorer: Explorer): string {
  if (explorer.isTyping) return `Filter: ${oneLine(printableName(explorer.filter))}_`;
  const common = 'q quit  tab pane  / filter';
  if (explorer.pane === 'layers') return `${common}  ^L changes of layer  ^A all changes`;
  // What is hidden is in brackets.
  const toggle = (change: ContentsEntry['change'], word: string = change) =>
    explorer.hidden.has(change) ? `(${word})` : word;
  return (
    `${common}  space open  ^A ${toggle('added')} ^R ${toggle('removed')} ` +
    `^M ${toggle('changed', 'modified')} ^U ${toggle('unchanged')}  s sort`
  );
}

function layerPane(
  explorer: Explorer,
  image: ImageContents,
  width: number,
  height: number,
  style: Style,
): Line[] {
  const isActive = explorer.pane === 'layers';
  const heading = explorer.since === 'all' ? 'LAYERS (all changes)' : 'LAYERS';
  const count = Math.min(image.layers.length, Math.max(1, Math.floor(height / 2)));
  const first = Math.max(0, Math.min(explorer.layer - count + 1, image.layers.length - count));
  const lines = [style(fit(`  SIZE     ${heading}`, width), isActive ? BOLD : DIM)];
  for (let at = first; at < first + count; at++) {
    const layer = image.layers[at]!;
    const command = shownInstruction(
      layer.history === undefined ? '' : (image.history[layer.history]?.createdBy ?? ''),
    );
    const text = `${at === explorer.layer ? '>' : ' '} ${bytes(layer.bytes).padEnd(8)} ${command}`;
    lines.push(style(fit(text, width), at === explorer.layer && isActive ? REVERSE : ''));
  }
  const detail = (text: string, codes = '') => lines.push(style(fit(text, width), codes));
  const layer = image.layers[explorer.layer];
  if (layer) {
    detail('');
    detail(`LAYER ${explorer.layer}`, DIM);
    detail(layer.digest);
    detail(
      `${layer.added.files} added, ${layer.changed.files} changed, ` +
        `${layer.removed.files} removed, ${bytes(layer.wasted)} wasted`,
    );
    if (layer.unreadable) detail(`cannot be read: ${oneLine(layer.unreadable.text)}`, '31');
    const line = layer.history === undefined ? undefined : image.history[layer.history];
    for (const part of wrapped(shownInstruction(line?.createdBy ?? ''), width, 4)) detail(part);
  }
  if (image.wasted.largest.length > 0) {
    detail('');
    detail(
      `WASTED ${bytes(image.wasted.bytes)}, ${rounded(image.wasted.share)} above layer 0`,
      DIM,
    );
    for (const { path, bytes: size } of image.wasted.largest)
      if (lines.length < height) detail(`${bytes(size).padEnd(8)} ${imagePath(path)}`);
  }
  return lines;
}

function filePane(explorer: Explorer, width: number, height: number, style: Style): Line[] {
  const isActive = explorer.pane === 'files';
  const { rows, first, contents, view } = explorer;
  const shows = {
    mode: explorer.showsAttributes && width >= MODE,
    owner: explorer.showsAttributes && width >= OWNER,
  };
  const columns = [
    ' ',
    ...(shows.mode ? ['MODE'.padEnd(10)] : []),
    ...(shows.owner ? ['OWNER'.padEnd(9)] : []),
    'SIZE'.padStart(7),
  ].join(' ');
  const state = [
    ...(explorer.sort === 'size' ? ['by size'] : []),
    ...(explorer.filter === '' ? [] : [`with ${oneLine(printableName(explorer.filter))}`]),
    ...(explorer.hidden.size === 0 ? [] : [`without ${[...explorer.hidden].join(', ')}`]),
  ].join(', ');
  const heading = `${columns} FILES${state === '' ? '' : ` ${state}`}`;
  const lines = [style(fit(heading, width), isActive ? BOLD : DIM)];
  for (const [at, { node, depth }] of rows.slice(first, first + height - 1).entries()) {
    const entry = contentsEntry(contents.tree, view, node);
    const isHere = isActive && first + at === explorer.cursor;
    const text = fileText(entry, depth, explorer.isOpen(node), shows, width);
    lines.push(style(fit(text, width), isHere ? REVERSE : HUES[entry.change]));
  }
  if (rows.length === 0) lines.push(fit('  nothing to show', width));
  return lines;
}

function fileText(
  entry: ContentsEntry,
  depth: number,
  isOpen: boolean,
  shows: { readonly mode: boolean; readonly owner: boolean },
  width: number,
): string {
  const attributes =
    (shows.mode ? `${modeText(entry.mode, entry.type)} ` : '') +
    (shows.owner ? `${`${entry.uid}:${entry.gid}`.padEnd(9)} ` : '');
  const isDirectory = entry.type === 'directory';
  const mark = isDirectory && (entry.entries ?? 0) > 0 ? (isOpen ? '- ' : '+ ') : '  ';
  const target =
    entry.target === undefined
      ? ''
      : `${entry.isHardLink ? ' = /' : ' -> '}${oneLine(printableName(entry.target))}`;
  const head = `${LETTERS[entry.change]} ${attributes}${bytes(entry.size).padStart(7)} `;
  // Deep directories are told by their depth when they would leave no room for the name.
  const room = Math.max(0, width - cellsOf(head) - 12);
  const indent = depth * 2 <= room ? ' '.repeat(depth * 2) : `${depth}> `;
  const name = oneLine(printableName(entry.name));
  return `${head}${indent}${mark}${name}${isDirectory ? '/' : ''}${target}`;
}

/** The text in exactly `width` cells. */
function fit(text: string, width: number): string {
  return padToCells(cutToCells(text, width), width);
}

function wrapped(text: string, width: number, most: number): string[] {
  const lines: string[] = [];
  for (let rest = text; rest !== '' && lines.length < most; ) {
    const part = cutToCells(rest, Math.max(2, width));
    if (part === '') break;
    lines.push(part);
    rest = rest.slice(part.length);
  }
  return lines;
}

function fill(lines: readonly Line[], width: number, height: number): Line[] {
  return Array.from({ length: height }, (_, at) => lines[at] ?? ' '.repeat(width));
}

function beside(
  left: readonly Line[],
  right: readonly Line[],
  leftWidth: number,
  rightWidth: number,
  height: number,
  bar: string,
): Line[] {
  const [a, b] = [fill(left, leftWidth, height), fill(right, rightWidth, height)];
  return a.map((line, at) => line + bar + b[at]!);
}
