// The first code that runs, written so that any Node since 14 can read it: an old one is refused with a sentence, not a stack trace.
declare const KILN_BUNDLE: string;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `kiln: Node ${process.versions.node} is too old: Kiln needs 22.19 or later. ` +
      'Install Kiln with its optional dependencies, which bring Node 24, or set KILN_NODE to a newer node.\n',
  );
  process.exit(1);
}

/**
 * Runs the bundle, with the code that V8 has compiled of it in an earlier build: that halves what Kiln itself takes of a cached build
 * (120 ms to 80; Node's own compile cache keeps only what is compiled before the first line runs). The first build that
 * succeeds writes it beside the bundle, under a name that says which bundle and which Node it is of: V8 itself compares only lengths.
 * Where it cannot be written Kiln goes on without.
 */
const fs: typeof import('node:fs') = require('node:fs');
const vm: typeof import('node:vm') = require('node:vm');
const file = `${__dirname}/main.cjs`;
const compiled = `${__dirname}/main-${KILN_BUNDLE}-${process.version}-${process.arch}.cache`;

function read(path: string): Buffer | undefined {
  try {
    return fs.readFileSync(path);
  } catch {
    return undefined;
  }
}

const cachedData = read(compiled);
const script = new vm.Script(fs.readFileSync(file, 'latin1'), {
  filename: file,
  ...(cachedData && { cachedData }),
});
const bundle = { exports: {} as typeof import('./main.ts', { with: { 'resolution-mode': 'import' }}) };
script.runInThisContext()(bundle.exports, require, bundle, file, __dirname);
bundle.exports.main(process.argv.slice(2));

if (!cachedData || script.cachedDataRejected)
  process.once('exit', (code) => {
    if (code !== 0 || process.argv[2] !== 'build') return;
    const writing = `${compiled}.${process.pid}`;
    try {
      fs.writeFileSync(writing, script.createCachedData(), { flush: true });
      fs.renameSync(writing, compiled);
    } catch {
      fs.rmSync(writing, { force: true });
    }
  });
