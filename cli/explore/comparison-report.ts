import { bytes } from '../../base/units.ts';
import type {
  ChangeTotal,
  ComparedFile,
  FileFacts,
  ImageComparison,
} from '../../images/contents/comparison.ts';
import { table } from '../table.ts';
import { oneLine } from '../terminal/text.ts';
import { imagePath } from './image-report.ts';
import { modeText } from './mode-text.ts';

/** The report of `kiln image diff`. */
export function comparisonReport(comparison: ImageComparison): string {
  const { from, to, layers, config, files, packages } = comparison;
  const sections = [
    table([
      ['From:', `${oneLine(from.name ?? from.digest)} (${from.platform}), ${bytes(from.bytes)}`],
      [
        'To:',
        `${oneLine(to.name ?? to.digest)} (${to.platform}), ${bytes(to.bytes)}, ` +
          `${signed(to.bytes - from.bytes)}`,
      ],
      [
        'Layers:',
        `${layers.shared} shared, ${layers.removed.length} removed, ${layers.added.length} added`,
      ],
      ['Added:', total(files.added)],
      ['Removed:', total(files.removed)],
      ['Changed:', total(files.changed)],
      ...(files.touched > 0 ? [['Only times:', `${files.touched}`]] : []),
      [
        'Packages:',
        `${packages.added} added, ${packages.removed} removed, ${packages.changed} changed`,
      ],
    ]),
  ];
  for (const { kind, text } of packages.unreadable)
    sections.push(`Packages of ${kind} are not known: ${oneLine(text)}\n`);
  if (config.length > 0)
    sections.push(
      table([
        ['CONFIG', 'FROM', 'TO'],
        ...config.map(({ field, from: was, to: is }) => [
          oneLine(field),
          oneLine(was ?? ''),
          oneLine(is ?? ''),
        ]),
      ]),
    );
  if (packages.list.length > 0)
    sections.push(
      table([
        ['PACKAGE', 'KIND', 'FROM', 'TO'],
        ...packages.list.map(({ kind, name, from: was, to: is }) => [
          oneLine(name),
          kind,
          oneLine(was ?? ''),
          oneLine(is ?? ''),
        ]),
      ]),
    );
  if (files.list.length > 0)
    sections.push(table([['', 'SIZE', 'WHAT', 'PATH'], ...files.list.map(fileRow)]));
  const more = files.added.files + files.removed.files + files.changed.files - files.list.length;
  if (more > 0) sections.push(`… and ${more} more (--limit shows them)\n`);
  return sections.join('\n');
}

const LETTERS = { added: 'A', removed: 'R', changed: 'M' } as const;

function fileRow(file: ComparedFile): string[] {
  const { change, from, to, path } = file;
  return [
    LETTERS[change],
    signed((to?.size ?? 0) - (from?.size ?? 0)),
    whatOf(file),
    imagePath(path),
  ];
}

function whatOf({ change, what, from, to }: ComparedFile): string {
  if (change !== 'changed' || !from || !to) return to ? ownedMode(to) : from ? ownedMode(from) : '';
  return what
    .map((part) => {
      if (part === 'mode') return `mode ${modeText(from.mode)} to ${modeText(to.mode)}`;
      if (part === 'owner') return `owner ${from.uid}:${from.gid} to ${to.uid}:${to.gid}`;
      return part === 'type' ? `${from.type} to ${to.type}` : part;
    })
    .join(', ');
}

function ownedMode({ type, mode }: FileFacts): string {
  return modeText(mode, type);
}

function total({ files, bytes: size }: ChangeTotal): string {
  return `${files}, ${signed(size)}`;
}

/** A difference of sizes, such as `+1.2MB`. */
function signed(size: number): string {
  return size < 0 ? `-${bytes(-size)}` : `+${bytes(size)}`;
}
