import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import {
  type BuildOptions,
  build,
  type Metafile,
  type OnResolveArgs,
  type Plugin,
  transform,
} from 'esbuild';
import { checkDeferred, deferModules, ITSELF, isDeferred } from './lazy.ts';
import { lazyNamespaces } from './namespaces.ts';

/**
 * A file of the bundle. It contains the modules that `roots` import, except those of parts before.
 */
export interface Part {
  readonly name: string;
  readonly roots: readonly string[];
  /** Paths of modules, or of folders with `/`. When given, other modules are left out. */
  readonly only?: readonly string[];
  /** Modules that are left out all the same. */
  readonly except?: readonly string[];
}

/** The name of the file with all other modules. */
const REST = 'rest';

/**
 * Writes the bundle as several files. The first one exports `main`. V8 reads the code cache of a
 * file as a whole, so modules that are rarely needed are in separate files. In a single file, a
 * cached build would wait for twice the code that it runs.
 *
 * Each module of Kiln is in exactly one file. A module in another file, one that is imported
 * dynamically, and one that is deferred (lazy.ts) is looked up by its path, through the function
 * `module` that its file exports. Returns the names of the files.
 */
export async function buildParts(
  root: string,
  { plugins = [], outdir, ...options }: BuildOptions,
  parts: readonly Part[],
): Promise<readonly string[]> {
  const entryPoints = parts.flatMap(({ roots }) => roots);
  const { inputs } = await graph({
    ...options,
    entryPoints,
    outdir: `${outdir}`,
    plugins: [...plugins, deferModules(root)],
  });
  checkDeferred(inputs);
  const fileOf = assignFiles(inputs, parts);
  const names = [...parts.map(({ name }) => name), REST];
  const importedFrom = (name: string) =>
    Object.keys(inputs).flatMap((module) =>
      inputs[module]!.imports.map(({ path }) => path).filter(
        (path) => fileOf(path) === name && fileOf(module) !== name,
      ),
    );
  const seen = new Map<string, string>();
  for (const name of names) {
    const main = name === names[0] ? `export{main}from"./${entryPoints[0]}";` : '';
    const modules = await writeFile(join(root, `${outdir}`, `${name}.cjs`), {
      ...options,
      stdin: { resolveDir: root, contents: `${main}${lookUpFunction(importedFrom(name))}` },
      plugins: [
        ...plugins,
        otherFiles(root, name, fileOf),
        ...(name === REST ? [] : [deferModules(root)]),
      ],
    });
    const own = modules.filter((path) => fileOf(path) !== undefined && !isDeferred(path));
    for (const module of own) {
      if (seen.has(module))
        throw new Error(`${module} is in ${seen.get(module)}.cjs and in ${name}.cjs`);
      seen.set(module, name);
    }
  }
  return names;
}

/**
 * Returns a function that tells which file a module is in. It returns undefined for packages: each
 * file that needs a package contains a copy, because packages share no state and because their
 * default exports would differ between files. It returns undefined for replacements of deferred
 * modules, too.
 */
function assignFiles(
  inputs: Metafile['inputs'],
  parts: readonly Part[],
): (module: string) => string | undefined {
  const found = new Map<string, string>();
  for (const { name, roots, only, except = [] } of parts)
    for (const module of closure(inputs, roots))
      if (
        !found.has(module) &&
        !except.includes(module) &&
        (!only || only.some((path) => module.startsWith(path)))
      )
        found.set(module, name);
  return (module) => {
    if (
      !(module in inputs) ||
      module.startsWith('node_modules/') ||
      module.includes(':') ||
      isDeferred(module)
    )
      return undefined;
    return found.get(module) ?? REST;
  };
}

async function graph(options: BuildOptions): Promise<Metafile> {
  return (await build({ ...options, metafile: true, write: false })).metafile;
}

/** Writes the file `outfile`. Returns the paths of the modules in it. */
async function writeFile(outfile: string, options: BuildOptions): Promise<string[]> {
  const { outputFiles, metafile } = await build({
    ...options,
    outfile,
    metafile: true,
    minify: false,
    minifySyntax: true,
    write: false,
  });
  const { code } = await transform(lazyNamespaces(outputFiles[0]!.text), {
    minify: true,
    format: 'cjs',
    ...(options.target && { target: options.target }),
  });
  mkdirSync(dirname(outfile), { recursive: true });
  writeFileSync(outfile, code);
  return Object.keys(metafile.inputs);
}

function withoutSuffix(path: string): string {
  return path.endsWith(ITSELF) ? path.slice(0, -ITSELF.length) : path;
}

/** Returns the modules that are loaded together with `roots`. */
function closure(inputs: Metafile['inputs'], roots: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const queue = [...roots];
  for (let module = queue.pop(); module !== undefined; module = queue.pop()) {
    const input = inputs[module];
    if (!input || found.has(module) || module.endsWith(ITSELF)) continue;
    found.add(module);
    for (const { path, kind } of input.imports) if (kind !== 'dynamic-import') queue.push(path);
  }
  return found;
}

/**
 * Returns the code of the function by which other files look up modules. An object would be slower,
 * because its hundreds of functions would be made at each start.
 */
function lookUpFunction(modules: readonly string[]): string {
  const cases = [...new Set(modules.map(withoutSuffix))].map(
    (path) => `case ${JSON.stringify(path)}:return require(${JSON.stringify(`./${path}`)})`,
  );
  return `export function module(path){switch(path){${cases.join(';')}}}`;
}

/** Replaces imports of modules in other files than `here` by look-ups. */
function otherFiles(
  root: string,
  here: string,
  fileOf: (module: string) => string | undefined,
): Plugin {
  return {
    name: 'other files',
    setup(made) {
      made.onResolve({ filter: /^[^:]+$/ }, async (args) => {
        if (args.pluginData === SEEN || args.namespace !== 'file') return undefined;
        const { path, suffix, external, errors } = await made.resolve(args.path, {
          ...optionsOf(args),
          pluginData: SEEN,
        });
        const module = relative(root, path) + suffix;
        const there = fileOf(module);
        if (external || errors.length > 0 || there === undefined || there === here)
          return undefined;
        return { path: withoutSuffix(module), namespace: 'other-file', pluginData: there };
      });
      made.onResolve({ filter: /.*/, namespace: 'other-file' }, ({ path }) => ({
        path,
        external: true,
      }));
      made.onLoad({ filter: /.*/, namespace: 'other-file' }, ({ path, pluginData }) => ({
        contents: `module.exports=require('./${pluginData}.cjs').module(${JSON.stringify(path)})`,
        loader: 'js',
      }));
    },
  };
}

/** Marks a resolution that this plugin started itself. */
const SEEN = {};

function optionsOf({ importer, kind, namespace, resolveDir }: OnResolveArgs) {
  return { importer, kind, namespace, resolveDir };
}
