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
import { checkPutOff, ITSELF, isPutOff, putOff } from './lazy.ts';
import { lazyNamespaces } from './namespaces.ts';

/** A file of the bundle: the modules that are loaded with `roots` and are in no file before it. */
export interface Part {
  readonly name: string;
  readonly roots: readonly string[];
  /** Only modules in these folders or of these paths; all when undefined. */
  readonly only?: readonly string[];
}

/** The file of all other modules. */
const REST = 'rest';

/**
 * The bundle in files, `main.cjs` first, which exports `main`. V8 reads what it has kept of a
 * file as a whole, so what is not needed as a rule stands in a file of its own: a build that
 * finds everything cached would wait for twice the code that it runs.
 *
 * A module of Kiln is in exactly one file. Where a module is imported lazily, is put off
 * (lazy.ts) or stands in a file before, it is asked for by name, through the function `module`
 * that its file exports. Answers the names of the files.
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
    plugins: [...plugins, putOff(root)],
  });
  checkPutOff(inputs);
  const fileOf = places(inputs, parts);
  const names = [...parts.map(({ name }) => name), REST];
  const asked = (name: string) =>
    Object.keys(inputs).flatMap((module) =>
      inputs[module]!.imports.map(({ path }) => path).filter(
        (path) => fileOf(path) === name && fileOf(module) !== name,
      ),
    );
  const seen = new Map<string, string>();
  for (const name of names) {
    const main = name === names[0] ? `export{main}from"./${entryPoints[0]}";` : '';
    const modules = await written(join(root, `${outdir}`, `${name}.cjs`), {
      ...options,
      stdin: { resolveDir: root, contents: `${main}${byName(asked(name))}` },
      plugins: [
        ...plugins,
        elsewhere(root, name, fileOf),
        ...(name === REST ? [] : [putOff(root)]),
      ],
    });
    for (const module of modules.filter((path) => fileOf(path) !== undefined && !isPutOff(path))) {
      if (seen.has(module))
        throw new Error(`${module} is in ${seen.get(module)}.cjs and in ${name}.cjs`);
      seen.set(module, name);
    }
  }
  return names;
}

/**
 * The file that a module stands in. Undefined for packages: they are in each file that needs
 * them, as they share no state, and what a default export of theirs is would differ between the
 * files; also for what stands in the place of a module that is put off.
 */
function places(
  inputs: Metafile['inputs'],
  parts: readonly Part[],
): (module: string) => string | undefined {
  const found = new Map<string, string>();
  for (const { name, roots, only } of parts)
    for (const module of closure(inputs, roots))
      if (!found.has(module) && (!only || only.some((path) => module.startsWith(path))))
        found.set(module, name);
  return (module) => {
    if (
      !(module in inputs) ||
      module.startsWith('node_modules/') ||
      module.includes(':') ||
      isPutOff(module)
    )
      return undefined;
    return found.get(module) ?? REST;
  };
}

async function graph(options: BuildOptions): Promise<Metafile> {
  return (await build({ ...options, metafile: true, write: false })).metafile;
}

/** Writes the file `outfile`; which modules are in it. */
async function written(outfile: string, options: BuildOptions): Promise<string[]> {
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

function withoutMark(path: string): string {
  return path.endsWith(ITSELF) ? path.slice(0, -ITSELF.length) : path;
}

/** The modules that are loaded with `roots`. */
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
 * The function by which the other files ask for modules. Not an object, which would be made of
 * hundreds of functions at each start.
 */
function byName(modules: readonly string[]): string {
  const cases = [...new Set(modules.map(withoutMark))].map(
    (path) => `case ${JSON.stringify(path)}:return require(${JSON.stringify(`./${path}`)})`,
  );
  return `export function module(path){switch(path){${cases.join(';')}}}`;
}

/** Modules that are in another file than `here`: asked for by name. */
function elsewhere(
  root: string,
  here: string,
  fileOf: (module: string) => string | undefined,
): Plugin {
  return {
    name: 'elsewhere',
    setup(made) {
      made.onResolve({ filter: /^[^:]+$/ }, async (args) => {
        if (args.pluginData === SEEN || args.namespace !== 'file') return undefined;
        const { path, suffix, external, errors } = await made.resolve(args.path, {
          ...asked(args),
          pluginData: SEEN,
        });
        const module = relative(root, path) + suffix;
        const there = fileOf(module);
        if (external || errors.length > 0 || there === undefined || there === here)
          return undefined;
        return { path: withoutMark(module), namespace: 'elsewhere', pluginData: there };
      });
      made.onResolve({ filter: /.*/, namespace: 'elsewhere' }, ({ path }) => ({
        path,
        external: true,
      }));
      made.onLoad({ filter: /.*/, namespace: 'elsewhere' }, ({ path, pluginData }) => ({
        contents: `module.exports=require('./${pluginData}.cjs').module(${JSON.stringify(path)})`,
        loader: 'js',
      }));
    },
  };
}

const SEEN = {};

function asked({ importer, kind, namespace, resolveDir }: OnResolveArgs) {
  return { importer, kind, namespace, resolveDir };
}
