// The first code that runs. Every Node since 14 can parse this file, so a Node that is too old gets
// an error message instead of a stack trace.
declare const KILN_BUNDLE: string;
/** The names of the files of the bundle. */
declare const KILN_PARTS: readonly string[];

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `kiln: Node ${process.versions.node} is too old: Kiln needs 22.19 or later. ` +
      'Install Kiln with its optional dependencies, which bring Node 24, ' +
      'or set KILN_NODE to a newer node.\n',
  );
  process.exit(1);
}

/**
 * Loads the bundle together with the code that V8 compiled from it in an earlier build (V8's code
 * cache). That cuts Kiln's own share of a cached build from 120 ms to 80 ms. Node's compile cache
 * would help less: it keeps only what is compiled before the first line runs.
 *
 * The first build that succeeds writes the code cache beside the bundle. A later build that needed
 * more modules writes it again, because code that did not run was not compiled. The file's name
 * contains the version of the bundle and of Node, because V8 itself compares only the length of
 * the source. Kiln works without a code cache where the directory cannot be written.
 *
 * The bundle consists of several files (scripts/split.ts), each with its own code cache. They load
 * each other by name.
 */
const fs: typeof import('node:fs') = require('node:fs');
const vm: typeof import('node:vm') = require('node:vm');

const loaded: Record<string, { exports: unknown }> = {};
const files: LoadedFile[] = [];

interface LoadedFile {
  /** The path of the file's code cache. */
  readonly path: string;
  readonly script: import('node:vm').Script;
  /** The `crossings` of the build that wrote the code cache in use. -1 without one. */
  readonly crossings: number;
}

/** How often a file of the bundle has required a module of another file in this process. */
let crossings = 0;
/**
 * The size in bytes of the header of a code cache. It contains the `crossings` of the build that
 * wrote the cache. V8 requires that the data after it is aligned to eight bytes.
 */
const HEADER = 8;

function load(name: string): unknown {
  const before = loaded[name];
  if (before) return before.exports;
  const filename = `${__dirname}/${name}.cjs`;
  const path = `${__dirname}/${name}-${KILN_BUNDLE}-${process.version}-${process.arch}.cache`;
  const isKept = name !== UNKEPT;
  const cache = isKept ? read(path) : undefined;
  const script = new vm.Script(sourceOf(filename), {
    filename,
    ...(cache && { cachedData: cache.subarray(HEADER) }),
  });
  const isUsed = cache && !script.cachedDataRejected;
  if (isKept) files.push({ path, script, crossings: isUsed ? cache.readUInt32LE() : -1 });
  const bundle = { exports: {} };
  loaded[name] = bundle;
  const required = isKept ? requireInBundle : requireUncounted;
  script.runInThisContext()(bundle.exports, required, bundle, filename, __dirname);
  return bundle.exports;
}

/**
 * Reads a file of the bundle. Prints its own error, because the code that prints errors may be in
 * the file that is missing.
 */
function sourceOf(filename: string): string {
  try {
    return fs.readFileSync(filename, 'latin1');
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    fs.writeSync(2, `kiln: the installation is damaged: ${filename} cannot be read: ${why}\n`);
    fs.writeSync(2, 'hint: install Kiln again\n');
    process.exit(1);
  }
}

function read(path: string): Buffer | undefined {
  try {
    const cache = fs.readFileSync(path);
    return cache.length > HEADER ? cache : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The file that runs after builds that found everything made. Code that such a build had written
 * would hold nothing of what a step runs, so it is no reason to write the code caches again.
 */
const UNKEPT = 'memo-keep';

function requireInBundle(id: string): unknown {
  const name = nameOf(id);
  if (name === undefined) return require(id);
  if (name !== UNKEPT) crossings++;
  return load(name);
}

function requireUncounted(id: string): unknown {
  const name = nameOf(id);
  return name === undefined ? require(id) : load(name);
}

function nameOf(id: string): string | undefined {
  const name = id.startsWith('./') && id.endsWith('.cjs') ? id.slice(2, -4) : '';
  return KILN_PARTS.includes(name) ? name : undefined;
}

process.once('exit', (code) => {
  if (code !== 0 || process.argv[2] !== 'build') return;
  if (files.every((file) => file.crossings >= crossings)) return;
  for (const { path, script } of files) keep(path, script);
});

function keep(path: string, script: import('node:vm').Script): void {
  const writing = `${path}.${process.pid}`;
  try {
    const header = Buffer.alloc(HEADER);
    header.writeUInt32LE(crossings);
    const cache = Buffer.concat([header, script.createCachedData()]);
    fs.writeFileSync(writing, cache, { flush: true });
    fs.renameSync(writing, path);
  } catch {
    fs.rmSync(writing, { force: true });
  }
}

type Main = typeof import('./main.ts', { with: { 'resolution-mode': 'import' }});
type Recall = typeof import('./memo/recall.ts', { with: { 'resolution-mode': 'import' }});

function run(): void {
  (load('main') as Main).main(process.argv.slice(2), KILN_BUNDLE);
}

/** A build that found everything made the last time may need nothing of the rest (decision 062). */
function recalled(): Promise<boolean> | undefined {
  const argv = process.argv.slice(2);
  // `kiln buildx build` is the same command.
  if (argv[0] !== 'build' && argv[1] !== 'build') return undefined;
  try {
    return (require('./memo.cjs') as Recall).recall(argv, KILN_BUNDLE);
  } catch {
    return undefined;
  }
}

const recalling = recalled();
if (recalling) recalling.then((isOver) => (isOver ? process.exit(0) : run()), run);
else run();
