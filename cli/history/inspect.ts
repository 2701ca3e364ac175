import { existsSync, readFileSync } from 'node:fs';
import { hexOf, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { bytes } from '../../base/units.ts';
import { attachedPath } from '../../builder/history/attached.ts';
import type { BuildView } from '../../history/build-view.ts';
import { findBuild, type ListedBuild, listBuilds } from '../../history/list-builds.ts';
import { OpenRecord } from '../../history/read-build.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { table } from '../table.ts';
import { sizeFor } from '../terminal/terminal-size.ts';
import { escapeControls, oneLine } from '../terminal/text.ts';
import { type Attachment, attachmentsOf, inspectDocument } from './inspect-document.ts';
import { timeline } from './timeline.ts';
import { timeTaken } from './words.ts';

const BUILD = 'the ID of a build, or ^N for the one N before the last (default: ^0)';

export function declareInspect(): Command {
  return newCommand('history inspect', 'Describe a build, with a drawing of when its steps ran')
    .argument('[build]', `${BUILD}; 'attachment' prints a document of a build`)
    .argument('[more...]', "after 'attachment': the build, and the digest of the document")
    .option('--format <format>', "format the output: 'pretty', 'json' or a Go template", 'pretty')
    .option('--type <type>', "after 'attachment': the type, such as provenance, sbom or index")
    .option('--platform <platform>', "after 'attachment': of which platform");
}

interface Flags {
  readonly format: string;
  readonly type?: string;
  readonly platform?: string;
}

/** `kiln history inspect [BUILD]`, and `kiln history inspect attachment [BUILD [DIGEST]]` */
export async function inspect(argv: readonly string[]): Promise<number> {
  const command = declareInspect();
  if (!parseArguments(command, argv)) return 0;
  const { format, type, platform } = command.opts<Flags>();
  const [first, ...more] = command.args;
  await using engine = openLocalEngine();
  const directory = engine.store.logs;
  const builds = listBuilds(directory);
  if (first === 'attachment') {
    const build = findBuild(builds, more[0]);
    stdout.write(attachment(directory, build, { digest: more[1], type, platform }));
    return 0;
  }
  if (more.length > 0)
    throw new KilnError('KILN_USAGE', 'inspect takes one build', {
      hint: "'kiln history inspect --help' explains the arguments",
      exitCode: 2,
    });
  using record = new OpenRecord(directory, findBuild(builds, first).id);
  const view = record.view();
  const now = Date.now();
  const document = inspectDocument(view, attachmentsOf(record.end), now);
  if (format === 'json') stdout.write(`${JSON.stringify(document, null, 2)}\n`);
  else if (format === 'pretty') stdout.write(pretty(view, document.Attachments ?? [], now));
  else {
    const { renderTemplate } = await import('../template/evaluate.ts');
    stdout.write(`${renderTemplate(format, document)}\n`);
  }
  return 0;
}

function pretty(view: BuildView, attachments: readonly Attachment[], now: number): string {
  const { request, git, counts, started, ended, error } = view;
  const percent = counts.steps > 0 ? Math.round((counts.cached / counts.steps) * 100) : 0;
  const sections = [
    lines([
      ['Name', view.name],
      ['Ref', view.ref],
      ['Context', request.context],
      ['Dockerfile', request.dockerfile ?? view.sources[0]?.name],
      ['VCS Repository', git?.remote],
      ['VCS Revision', git?.commit && `${git.commit}${git.isDirty ? '-dirty' : ''}`],
      ['VCS Branch', git?.branch],
      ['Target', request.target],
      ['Platforms', request.platforms.join(', ')],
      ['Secrets', request.secrets.join(', ')],
      ['SSH', request.ssh.join(', ')],
      ['Cache From', request.cacheFrom.join(' ')],
      ['Cache To', request.cacheTo.join(' ')],
    ]),
    listing('NAMED CONTEXT', Object.entries(request.namedContexts)),
    lines([
      ['Started', new Date(started).toISOString().slice(0, 19).replace('T', ' ')],
      [
        'Duration',
        timeTaken((ended ?? now) - started) + (view.state === 'running' ? ' (running)' : ''),
      ],
      ['Status', STATUS_LINES[view.state]],
      ['Error', error && [error.code, error.text].filter(Boolean).join(' ')],
      ['Damage', view.damage],
      ['Build Steps', `${counts.completed}/${counts.steps} (${percent}% cached)`],
      ['Warnings', counts.warnings > 0 ? String(counts.warnings) : undefined],
    ]),
    listing('BUILD ARG', Object.entries(request.buildArgs)),
    listing('LABEL', Object.entries(request.labels)),
    listing(
      'MATERIALS',
      view.materials.map(({ uri, digest }) => [uri, digest ?? '']),
      'DIGEST',
    ),
    listing(
      'OUTPUT',
      view.outputs.map(({ type, names, digest, size }) => [
        [type, ...names].join(' '),
        [digest, size === undefined ? '' : bytes(size)].filter(Boolean).join(' '),
      ]),
      'DIGEST',
    ),
    listing(
      'ATTACHMENTS',
      attachments.map(({ Digest, Platform, Type }) => [
        Digest,
        [Platform, Type].filter(Boolean).join(' '),
      ]),
      'TYPE',
    ),
    onWorkers(view),
    drawing(view, now),
    steps(view),
    `Print build logs: kiln history logs ${escapeControls(view.ref)}\n`,
  ];
  return sections.filter(Boolean).join('\n');
}

const STATUS_LINES: Readonly<Record<BuildView['state'], string | undefined>> = {
  running: undefined,
  completed: undefined,
  failed: undefined,
  cancelled: 'Canceled',
  lost: 'Lost: its process was killed before the build ended',
};

function lines(fields: readonly (readonly [string, string | undefined])[]): string {
  const shown = fields.filter((field): field is [string, string] => !!field[1]);
  const width = Math.max(...shown.map(([name]) => name.length)) + 2;
  return shown.map(([name, value]) => `${`${name}:`.padEnd(width)}${oneLine(value)}\n`).join('');
}

function listing(
  title: string,
  rows: readonly (readonly [string, string] | readonly string[])[],
  second = 'VALUE',
): string {
  if (rows.length === 0) return '';
  return table([[title, second], ...rows.map((row) => row.map((cell) => oneLine(cell)))]);
}

function drawing(view: BuildView, now: number): string {
  return timeline(view, sizeFor(stdout, process.env).columns, now);
}

/** The steps that other machines have run. */
function onWorkers({ steps: all }: BuildView): string {
  return listing(
    'ON WORKERS',
    all.flatMap(({ name, worker }) =>
      worker ? [[shortName(name), `${worker.name}: ${worker.reason}`]] : [],
    ),
    'WORKER',
  );
}

function shortName(name: string): string {
  return name.length > 60 ? `${name.slice(0, 59)}…` : name;
}

/** How many steps are named that are worth being cached. */
const NAMED = 5;

/** The steps that would have saved most, with the reasons why they were not cached. */
function steps({ steps: all }: BuildView): string {
  const worth = all
    .filter(({ wouldSave, miss }) => wouldSave >= 100 && miss !== undefined)
    .sort((a, b) => b.wouldSave - a.wouldSave)
    .slice(0, NAMED);
  return listing(
    'NOT CACHED',
    worth.map(({ name, wouldSave, miss }) => [
      shortName(name),
      `${timeTaken(wouldSave)} would be saved: ${miss}`,
    ]),
    'WHY',
  );
}

interface WantedAttachment {
  readonly digest: string | undefined;
  readonly type: string | undefined;
  readonly platform: string | undefined;
}

/** The types that clients name in short. */
const SHORT_TYPES: Readonly<Record<string, RegExp>> = {
  index: /image\.index|manifest\.list/,
  manifest: /image\.manifest|distribution\.manifest\.v2/,
  image: /image\.config|container\.image\.v1/,
  provenance: /slsa\.dev\/provenance/,
  sbom: /spdx\.dev/,
};

function attachment(
  directory: string,
  { id, ref }: ListedBuild,
  { digest, type, platform }: WantedAttachment,
): string {
  using record = new OpenRecord(directory, id);
  const all = attachmentsOf(record.end);
  const short = type === undefined ? undefined : SHORT_TYPES[type];
  const found =
    digest === undefined
      ? all.find(
          ({ Type, Platform }) =>
            (type === undefined || Type === type || short?.test(Type)) &&
            (platform === undefined || Platform === platform),
        )
      : { Digest: digest };
  if (found && isDigest(found.Digest)) {
    const path = attachedPath(directory, id, hexOf(found.Digest));
    if (existsSync(path)) return `${readFileSync(path, 'utf8').trimEnd()}\n`;
  }
  throw new KilnError('KILN_LOG_NOT_FOUND', `the build ${ref} has no such document`, {
    hint:
      all.length > 0
        ? `it has ${all.map(({ Digest, Type }) => `${Digest} (${Type})`).join(', ')}`
        : 'documents are kept of builds that succeed',
  });
}
