/**
 * Bundles the sources into CommonJS files in dist/: files for the commands, by what is needed
 * together (split.ts), one for the worker threads and one for the library. A module that is
 * imported dynamically still runs at its first import.
 *
 * There are few files because finding, reading and linking each ES module takes time at start-up:
 * 45 chunks took 80 ms of a cached build, one file takes 25 ms (2-core VM, 2026-11). koffi is not
 * in the bundle because it is a native addon. Everything else is: the package that npm installs
 * needs no other package but koffi's native part and the Node it ships with.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { buildParts } from './split.ts';

const root = join(import.meta.dirname, '..');
const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version as string;

/**
 * Modules of Node that many files import but a cached build never calls. The bundle replaces each
 * by a proxy that loads the module at the first use of one of its exports. That saves 10 of 110 ms
 * (2-core VM, 2026-11). The proxies report no keys, because esbuild copies the keys of a module
 * that is imported as a whole, and that would load the module. Its `default` is then the proxy
 * itself.
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
  'v8',
];
function lazyRequire(names: readonly string[]): string {
  return (
    `{const real=require,lazy=new Set(${JSON.stringify(names.map((name) => `node:${name}`))});` +
    'require=Object.assign((id)=>lazy.has(id)?new Proxy({},{get:(_,key)=>real(id)[key],' +
    'has:(_,key)=>key in real(id),ownKeys:()=>[]}):real(id),real);}'
  );
}

/**
 * A monotonic clock in milliseconds that replaces `performance`, which lru-cache and the scheduler
 * use. `performance` would load perf_hooks, which takes 1 ms of a cached build.
 */
const CLOCK = 'const __kilnClock={now:()=>Number(process.hrtime.bigint())/1e6};';

/**
 * Puts the http client and the reader of YAML into files of their own, so that a build that needs
 * no network and no device descriptions does not read them.
 */
const separateFiles: Plugin = {
  name: 'separate files',
  setup(made) {
    const external = (filter: RegExp, path: string) =>
      made.onResolve({ filter }, () => ({ path, external: true }));
    external(/^\.\/undici\.ts$/, './undici.cjs');
    external(/^yaml$/, './yaml.cjs');
  },
};

/**
 * Replaces node:diagnostics_channel by channels without subscribers. lru-cache asks at each call
 * whether a channel has subscribers, which takes 1 ms of a cached build, and Kiln has none.
 */
const noDiagnostics: Plugin = {
  name: 'no diagnostics',
  setup(made) {
    made.onResolve({ filter: /^node:diagnostics_channel$/ }, ({ path }) => ({
      path,
      namespace: 'no-diagnostics',
    }));
    made.onLoad({ filter: /.*/, namespace: 'no-diagnostics' }, () => ({
      contents:
        'const none={hasSubscribers:false};export const channel=()=>none,' +
        'tracingChannel=channel;',
    }));
  },
};

/**
 * Makes dynamic imports of Node's modules load the module itself and not the proxy of LAZY, which
 * has no keys: it removes `node:` from the name, so that LAZY does not contain it. The same is done
 * for the packages of the server, which import modules as a whole.
 */
const realModules: Plugin = {
  name: 'real modules',
  setup: (made) =>
    made.onResolve({ filter: /^node:/ }, ({ path, kind, importer }) =>
      kind === 'dynamic-import' || importer.includes('/node_modules/@connectrpc/')
        ? { path: path.slice('node:'.length), external: true }
        : undefined,
    ),
};

/**
 * The directory that the new bundle is written to. At the end each of its files takes the place of
 * the old one, so that a process that starts meanwhile never finds one missing.
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
  plugins: [separateFiles, realModules, noDiagnostics],
  // Dynamic imports of modules outside the bundle become calls of require, because code from V8's
  // code cache (entry.cts) cannot import.
  supported: { 'dynamic-import': false },
  define: {
    KILN_VERSION: JSON.stringify(version),
    'import.meta.url': '__kilnUrl',
    'import.meta.dirname': '__dirname',
    performance: '__kilnClock',
  },
  banner: {
    js:
      `${lazyRequire(LAZY)}${CLOCK}const ` +
      "__kilnUrl=require('node:url').pathToFileURL(__filename).href;",
  },
} satisfies BuildOptions;

rmSync(join(root, NEW), { recursive: true, force: true });
const parts = await buildParts(root, lazily, [
  {
    name: 'main',
    roots: ['cli/main.ts', 'cli/commands/build.ts', 'cli/progress/plain.ts', 'cli/progress/tty.ts'],
  },
  // What asks a registry one question. The rest is four times as large.
  { name: 'registry', roots: ['registry/client.ts', 'registry/question.ts'] },
  // What makes a memo of a cached build. It runs once for many builds that only read it.
  { name: 'memo-keep', roots: ['cli/memo/keep.ts'] },
  // What only a server with --metrics loads.
  {
    name: 'metrics',
    roots: ['cli/daemon/metrics.ts'],
    only: ['api/metrics/', 'cli/daemon/metrics.ts'],
  },
  // What serves and writes the page of builds.
  {
    name: 'page-server',
    roots: ['cli/commands/ui.ts', 'cli/page/show-page.ts'],
    only: ['page/', 'cli/page/', 'cli/commands/ui.ts'],
  },
  // The modules that only a server and the frontends of images need. No other build loads them.
  {
    name: 'api',
    roots: [
      'cli/commands/serve.ts',
      'cli/commands/buildkitd.ts',
      'api/frontends/image-frontend.ts',
      'cli/buildctl/blobs.ts',
      'cli/buildctl/build.ts',
      'cli/buildctl/disk.ts',
      'cli/buildctl/histories.ts',
      'cli/buildctl/workers.ts',
      'cli/builds-elsewhere.ts',
      'cli/reports/send-trace.ts',
      'docker/serve.ts',
    ],
    only: [
      'api/',
      'docker/',
      'remote/',
      'cli/builds-elsewhere.ts',
      'cli/reports/send-trace.ts',
      'cli/daemon/server-',
      'cli/commands/serve.ts',
      'cli/commands/buildkitd.ts',
      'cli/buildctl/',
    ],
    // By these, a client far away reaches the server at each of its connections.
    except: [
      'cli/buildctl/dial-stdio.ts',
      'cli/buildctl/flags.ts',
      'cli/buildctl/server-address.ts',
      'remote/connect.ts',
      'remote/server-address.ts',
    ],
  },
  // Other machines: the commands of both sides, and the client of NATS.
  {
    name: 'workers',
    roots: ['cli/commands/worker.ts', 'workers/placing/asking.ts', 'workers/placing/open-pools.ts'],
    only: [
      'workers/',
      'cli/commands/worker.ts',
      'node_modules/@nats-io/',
      'node_modules/tweetnacl/',
    ],
    // By these, a build with workers finds out that all of it stays here.
    except: [
      'workers/open-workers.ts',
      'workers/nats/nats-address.ts',
      'workers/placing/other-machines.ts',
      'workers/placing/placement.ts',
    ],
  },
]);
// What reads it. It shares no module with the other files, because nothing of them is loaded then.
// A copy of each module that it needs is smaller than what it would take to find them.
await build({
  ...lazily,
  entryPoints: { memo: 'cli/memo/recall.ts' },
  banner: { js: lazyRequire([...LAZY, 'crypto', 'os', 'util', 'url', 'path/posix']) },
});
await build({ ...lazily, entryPoints: { worker: 'cli/worker-thread.ts' } });
// The library that the package exports. It contains nothing of the command line, and runs in the
// Node of the program that imports it.
await build({
  ...lazily,
  entryPoints: { library: 'builder/library.ts' },
  banner: { js: `${refuseOldNode(22, 19)}${lazily.banner.js}` },
});
await build({ ...bundled, entryPoints: { undici: 'registry/undici.ts', yaml: 'yaml' } });
// The page of a build, for browsers. No command loads it: a server sends it, and exports hold it.
await build({
  ...bundled,
  entryPoints: { page: 'page/browser/main.ts', 'page-style': 'page/browser/page.css' },
  entryNames: '[name]',
  outExtension: { '.js': '.js' },
  format: 'esm',
  platform: 'browser',
  target: ['chrome111', 'firefox115', 'safari16.4'],
});
// entry.cts needs each file as a function. Wrapping the text there would copy it twice.
const texts = ['memo', ...parts].map((name) => {
  const path = join(root, NEW, `${name}.cjs`);
  const code = readFileSync(path, 'utf8');
  if (name === 'memo') return code;
  const text = `(function(exports,require,module,__filename,__dirname){${code}\n})`;
  writeFileSync(path, text);
  return text;
});
const bundle = createHash('sha256').update(texts.join('')).digest('hex');
await build({
  ...file,
  entryPoints: { kiln: 'cli/entry.cts' },
  define: {
    KILN_BUNDLE: JSON.stringify(bundle.slice(0, 16)),
    KILN_PARTS: JSON.stringify(parts),
  },
});
const dist = join(root, 'dist');
mkdirSync(dist, { recursive: true });
const made = readdirSync(join(root, NEW));
for (const name of made) renameSync(join(root, NEW, name), join(dist, name));
for (const name of readdirSync(dist))
  if (!made.includes(name)) rmSync(join(dist, name), { recursive: true, force: true });
rmSync(join(root, NEW), { recursive: true });

/** Code that throws where Node is older than this version. */
function refuseOldNode(major: number, minor: number): string {
  return (
    '{const[a,b]=process.versions.node.split(".").map(Number);' +
    `if(a<${major}||a===${major}&&b<${minor})throw new Error("Kiln as a library needs Node ` +
    `${major}.${minor} or later, and this is "+process.versions.node)}`
  );
}
