import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TarReader } from '../../../snapshotter/layer/untar.ts';
import { makeArchives } from './archives.ts';
import { BASE, CASES, CONTEXT } from './cases.ts';
import { contentOf, makeTree, SPEC_TIME } from './testing.ts';

/**
 * Builds the cases of `cases.ts` with Docker and writes the results to testdata/docker.json. Run by
 * hand:
 *
 *     node solver/ops/file/oracle.ts [--prefix /host] COMMAND...
 *
 * COMMAND runs docker (`docker`, or a wrapper); --prefix is where it sees the files of this host.
 */
const argv = process.argv.slice(2);
const prefix = argv[0] === '--prefix' ? argv.splice(0, 2)[1]! : '';
const command = argv.length > 0 ? argv : ['docker'];
const home = mkdtempSync(join(tmpdir(), 'kiln-oracle-'));

function docker(
  args: readonly string[],
  input?: Buffer,
): { status: number | null; output: string } {
  const done = spawnSync(command[0]!, [...command.slice(1), ...args], {
    input: input ?? '',
    encoding: 'utf8',
  });
  return { status: done.status, output: `${done.stdout}${done.stderr}` };
}

function importBase(): void {
  const root = join(home, 'base');
  mkdirSync(root);
  makeTree(root, BASE);
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  execFileSync('touch', ['-d', `@${SPEC_TIME}`, join(root, 'bin/busybox'), join(root, 'bin')]);
  const tar = execFileSync('tar', ['-C', root, '--numeric-owner', '-c', '.'], {
    maxBuffer: 64 << 20,
  });
  const { status, output } = docker(['import', '-', 'kiln-oracle-base'], tar);
  if (status !== 0) throw new Error(output);
}

function build(dockerfile: string): readonly string[] | { readonly error: string } {
  const file = join(home, 'Dockerfile');
  const out = join(home, 'out.tar');
  writeFileSync(file, `FROM kiln-oracle-base\n${dockerfile}\n`);
  const flags = [
    '--network',
    'host',
    '--provenance=false',
    '--progress=plain',
    '-f',
    prefix + file,
  ];
  const { status, output } = docker([
    'buildx',
    'build',
    ...flags,
    '--output',
    `type=tar,dest=${prefix + out}`,
    `${prefix + home}/context`,
  ]);
  if (status !== 0) return { error: reasonOf(output) };
  return listArchive(readFileSync(out));
}

/** The reason of the error, without the paths and names of one machine and one build. */
function reasonOf(output: string): string {
  const line = output.split('\n').find((text) => text.startsWith('ERROR')) ?? output;
  return line
    .replace(/^.*failed to solve: /, '')
    .replace(/^.*checksum of ref [^ ]*: /, '')
    .replace(/\/[^ ]*\/buildkit\d+/g, '');
}

/** Lists an archive in the format of `listTree`. */
function listArchive(bytes: Buffer): string[] {
  const lines: string[] = [];
  let head: string | undefined;
  let body: Buffer[] = [];
  const reader = new TarReader({
    entry(entry) {
      const path = entry.path.replace(/^\.?\/+/, '').replace(/\/+$/, '');
      head = undefined;
      body = [];
      if (path === '' || /^(proc|sys|dev|bin)(\/|$)/.test(path)) return;
      const time = entry.mtime.sec > 1_500_000_000 ? 'now' : String(entry.mtime.sec);
      const owner = `${entry.uid}:${entry.gid} ${time}`;
      const mode = entry.mode.toString(8).padStart(4, '0');
      if (entry.type === 'symlink') lines.push(`${path} link ${owner} ${entry.linkPath}`);
      else if (entry.type === 'hardlink')
        lines.push(`${path} hard ${entry.linkPath.replace(/^\.?\/+/, '')}`);
      else if (entry.type === 'directory') lines.push(`${path} dir ${mode} ${owner}`);
      else if (entry.type === 'file') head = `${path} file ${mode} ${owner}`;
      else lines.push(`${path} ${entry.type} ${mode} ${owner}`);
    },
    data: (piece) => void body.push(Buffer.from(piece)),
    end: () => {
      if (head !== undefined) lines.push(`${head} ${contentOf(Buffer.concat(body))}`);
    },
  });
  reader.push(bytes);
  reader.finish();
  return lines.sort();
}

try {
  importBase();
  mkdirSync(join(home, 'context'));
  makeTree(join(home, 'context'), CONTEXT);
  makeArchives(join(home, 'context'));
  const results = Object.fromEntries(
    CASES.map(({ name, dockerfile }) => [name, build(dockerfile)]),
  );
  const target = fileURLToPath(new URL('testdata/docker.json', import.meta.url));
  mkdirSync(join(target, '..'), { recursive: true });
  writeFileSync(target, `${JSON.stringify(results, null, 1)}\n`);
} finally {
  rmSync(home, { recursive: true, force: true });
}
