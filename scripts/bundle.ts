/**
 * Bundles the command line into dist/: CommonJS files for the commands, by what is needed
 * together (split.ts), and one for worker threads. Modules that are imported lazily stay lazy:
 * their code runs at the first import. Few files because each ES module costs its own look-up,
 * read and link at start-up (45 chunks: 80 ms of a cached build; one file: 25 ms; 2-core VM,
 * 2026-11). koffi stays outside: it is a native addon; yaml too, which only device descriptions
 * need.
 */
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { buildParts } from './split.ts';

const root = join(import.meta.dirname, '..');
const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version as string;

/**
 * Modules of Node that a cached build never calls, though many files import them: compiled at
 * the first use of one of their functions (10 of 110 ms together; 2-core VM, 2026-11). They
 * seem to have no keys: esbuild copies the keys of what is imported as a whole, which keeps the
 * module itself as `default`.
 */
const LAZY = [
  'child_process',
  'worker_threads',
  'zlib',
  'fs/promises',
  'stream/consumers',
  'stream/promises',
  'net',
  'tls',
  'http',
  'module',
];
const LAZY_REQUIRE =
  `{const real=require,lazy=new Set(${JSON.stringify(LAZY.map((name) => `node:${name}`))});` +
  'require=Object.assign((id)=>lazy.has(id)?new Proxy({},{get:(_,key)=>real(id)[key],' +
  'has:(_,key)=>key in real(id),ownKeys:()=>[]}):real(id),real);}';

/**
 * The monotonic clock in milliseconds, which lru-cache and the scheduler ask `performance` for:
 * that would load perf_hooks (1 ms of a cached build).
 */
const CLOCK = 'const __kilnClock={now:()=>Number(process.hrtime.bigint())/1e6};';

/**
 * The http client has a file of its own: a build that needs no network should not have to read
 * it, nor what V8 has compiled of it.
 */
const apart: Plugin = {
  name: 'apart',
  setup: (made) =>
    made.onResolve({ filter: /^\.\/undici\.ts$/ }, () => ({
      path: './undici.cjs',
      external: true,
    })),
};

/**
 * lru-cache tells Node's channels for diagnostics of what it does, and asks them at each call
 * whether anybody listens (1 ms of a cached build): nobody does.
 */
const unheard: Plugin = {
  name: 'unheard',
  setup(made) {
    made.onResolve({ filter: /^node:diagnostics_channel$/ }, ({ path }) => ({
      path,
      namespace: 'unheard',
    }));
    made.onLoad({ filter: /.*/, namespace: 'unheard' }, () => ({
      contents:
        'const nobody={hasSubscribers:false};export const channel=()=>nobody,' +
        'tracingChannel=channel;',
    }));
  },
};

/**
 * A module of Node that is imported lazily anyhow is asked for by its short name, which is not
 * in LAZY: it has keys. So are those that a server's packages import as a whole.
 */
const byNow: Plugin = {
  name: 'by now',
  setup: (made) =>
    made.onResolve({ filter: /^node:/ }, ({ path, kind, importer }) =>
      kind === 'dynamic-import' || importer.includes('/node_modules/@connectrpc/')
        ? { path: path.slice('node:'.length), external: true }
        : undefined,
    ),
};

/**
 * Where the bundle is made: it takes the place of the old one as a whole, which somebody may be
 * starting from.
 */
const NEW = 'dist.new';

const file = {
  absWorkingDir: root,
  outdir: NEW,
  outExtension: { '.js': '.cjs' },
  format: 'cjs',
  minify: true,
} satisfies BuildOptions;
const bundled = {
  ...file,
  bundle: true,
  platform: 'node',
  target: 'node22',
  legalComments: 'none',
  logLevel: 'warning',
} satisfies BuildOptions;

const lazily = {
  ...bundled,
  external: ['koffi', 'yaml'],
  plugins: [apart, byNow, unheard],
  // Modules of Node and what stays outside are required too when they are imported lazily: code
  // that V8 has kept (entry.cts) cannot import.
  supported: { 'dynamic-import': false },
  define: {
    KILN_VERSION: JSON.stringify(version),
    'import.meta.url': '__kilnUrl',
    'import.meta.dirname': '__dirname',
    performance: '__kilnClock',
  },
  banner: {
    js:
      `${LAZY_REQUIRE}${CLOCK}const ` +
      "__kilnUrl=require('node:url').pathToFileURL(__filename).href;",
  },
} satisfies BuildOptions;

rmSync(join(root, NEW), { recursive: true, force: true });
const parts = await buildParts(root, lazily, [
  {
    name: 'main',
    roots: ['cli/main.ts', 'cli/commands/build.ts', 'cli/progress/plain.ts', 'cli/progress/tty.ts'],
  },
  // What only a server needs. No build loads it.
  { name: 'serve', roots: ['cli/commands/serve.ts'], only: ['api/', 'cli/commands/serve.ts'] },
]);
await build({ ...lazily, entryPoints: { worker: 'cli/worker-thread.ts' } });
// What the package exports: nothing of the command line is in it.
await build({ ...lazily, entryPoints: { library: 'builder/library.ts' } });
await build({ ...bundled, entryPoints: { undici: 'registry/undici.ts' } });
// Functions, as entry.cts wants them: to put a file into one there costs two copies.
const texts = parts.map((name) => {
  const path = join(root, NEW, `${name}.cjs`);
  const code = readFileSync(path, 'utf8');
  const text = `(function(exports,require,module,__filename,__dirname){${code}\n})`;
  writeFileSync(path, text);
  return text;
});
const bundle = createHash('sha256').update(texts.join('')).digest('hex');
await build({
  ...file,
  entryPoints: { kiln: 'cli/entry.cts' },
  define: { KILN_BUNDLE: JSON.stringify(bundle.slice(0, 16)) },
});
rmSync(join(root, 'dist'), { recursive: true, force: true });
renameSync(join(root, NEW), join(root, 'dist'));
