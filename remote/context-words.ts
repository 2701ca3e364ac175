import { randomBytes } from 'node:crypto';
import { lstatSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { KilnError } from '../base/errors.ts';
import { attempt } from '../base/oserror.ts';
import { textOfInput } from '../builder/context/dockerfile-elsewhere.ts';
import {
  DOCKERFILE_LIMIT,
  defaultDockerfile,
  tooLarge,
} from '../builder/context/dockerfile-file.ts';
import { looksLikeArchive } from '../builder/context/looks-like-archive.ts';
import { isFileThere, refusePolicyFile } from '../builder/context/policy-file.ts';
import type { BuildRequest, NamedContextSource } from '../builder/request.ts';
import { openLayout, parseLayoutReference } from '../registry/layout.ts';
import type { BuildWords } from './build-words.ts';
import { fetchText } from './fetch-text.ts';
import type { LentTree } from './lend/lent-directories.ts';
import type { Loans } from './lend/loans.ts';

type Options = Record<string, string>;

/** The names that frontends have for the context, and for the directory of the Dockerfile. */
const CONTEXT = 'context';
const DOCKERFILE = 'dockerfile';
/** Where the server fetches what is uploaded inside the session. */
const UPLOADED = 'http://buildkit-session/';
const NAME_BYTES = 12;

/** The contexts of a request in the words of the API, and what of the caller they are. */
export interface ContextWords extends Pick<BuildWords, 'directories' | 'layouts' | 'uploads'> {
  /** The options of the frontend that say where the contexts are. */
  readonly options: Options;
}

/** The same while it is found out. */
interface Found {
  readonly directories: Map<string, LentTree>;
  readonly layouts: Map<string, string>;
  readonly uploads: Map<string, Buffer>;
  readonly scratch: () => string;
}

/**
 * Finds the context, the Dockerfile and the named contexts. `scratch` makes empty directories.
 * Throws KILN_CONTEXT_NOT_FOUND, KILN_DOCKERFILE_NOT_FOUND, KILN_STDIN_TWICE and the errors of
 * reading them.
 */
export async function contextWords(
  request: BuildRequest,
  loans: Loans,
  scratch: () => string,
): Promise<ContextWords> {
  const found: Found = {
    directories: new Map(),
    layouts: new Map(),
    uploads: new Map(),
    scratch,
  };
  const named = [...request.namedContexts].flatMap(([name, source]) =>
    layOutNamed(name, source, loans, found),
  );
  const own = await layOutContext(request, loans, found);
  const { scratch: _, ...lent } = found;
  return { ...lent, options: { ...Object.fromEntries(named), ...own } };
}

async function layOutContext(request: BuildRequest, loans: Loans, found: Found): Promise<Options> {
  const { context, dockerfile } = request;
  if (context.kind === 'input') return await layOutInput(request, loans, found);
  if (context.kind === 'graph')
    throw new KilnError(
      'KILN_REQUEST_UNSUPPORTED',
      'a context that is a graph cannot be sent to a builder elsewhere',
    );
  if (context.kind === 'remote') {
    if (dockerfile.kind === 'file') return { filename: dockerfile.name };
    if (dockerfile.kind === 'default') return {};
    return { ...(await layOutText(request, loans, found)), dockerfilekey: DOCKERFILE };
  }
  const directory = loans.placeOf(context.name);
  found.directories.set(CONTEXT, { path: directory });
  if (dockerfile.kind === 'default') {
    const path = join(directory, defaultDockerfile(directory));
    refusePolicyFile(request, path, isFileThere);
    return lendDockerfile(path, directory, found);
  }
  if (dockerfile.kind !== 'file') return await layOutText(request, loans, found);
  const path = resolve(directory, dockerfile.path);
  refusePolicyFile(request, path, isFileThere);
  const kind = attempt(
    {
      code: 'KILN_DOCKERFILE_NOT_FOUND',
      what: `failed to read dockerfile: open ${dockerfile.name}`,
      path,
    },
    () => statSync(path),
  );
  if (!kind.isFIFO()) return lendDockerfile(path, directory, found);
  const bytes = await loans.file(path, DOCKERFILE_LIMIT);
  if (!bytes) throw tooLarge(dockerfile.name);
  return writeDockerfile(bytes, found);
}

/**
 * Lends the directory of a Dockerfile. Of one outside the context only the file and its ignore file
 * can be read: nobody meant to lend the others.
 */
function lendDockerfile(path: string, context: string, found: Found): Options {
  const isOutside = relative(context, path).startsWith('..');
  const real = isOutside ? realpathSync(path) : path;
  const name = basename(real);
  found.directories.set(DOCKERFILE, {
    path: dirname(real),
    ...(isOutside && { only: [name, `${name}.dockerignore`] }),
  });
  return name === 'Dockerfile' ? {} : { filename: name };
}

/** A Dockerfile that is in no directory of the caller is put into one. */
async function layOutText(
  { dockerfile }: BuildRequest,
  loans: Loans,
  found: Found,
): Promise<Options> {
  if (dockerfile.kind === 'text') return writeDockerfile(Buffer.from(dockerfile.text), found);
  if (dockerfile.kind === 'remote')
    return writeDockerfile(await fetchText(dockerfile.url, DOCKERFILE_LIMIT, loans), found);
  if (dockerfile.kind !== 'input') throw new Error(`a Dockerfile of kind ${dockerfile.kind}`);
  return writeDockerfile(textOfInput(await loans.input(DOCKERFILE_LIMIT)).text, found);
}

function writeDockerfile(text: Buffer | string, found: Found): Options {
  const path = found.scratch();
  writeFileSync(join(path, 'Dockerfile'), text);
  found.directories.set(DOCKERFILE, { path });
  return {};
}

/** Standard input is an archive, which is the context, or a Dockerfile without one. */
async function layOutInput(
  { dockerfile }: BuildRequest,
  loans: Loans,
  found: Found,
): Promise<Options> {
  if (dockerfile.kind === 'input')
    throw new KilnError(
      'KILN_STDIN_TWICE',
      'standard input cannot be both the context and the Dockerfile',
      {
        place: { kind: 'flag', flag: '--file' },
        hint: 'name a directory as the context, or the Dockerfile in it with -f FILE',
        exitCode: 2,
      },
    );
  const bytes = await loans.input((start) =>
    looksLikeArchive(start) ? Number.POSITIVE_INFINITY : DOCKERFILE_LIMIT,
  );
  if (!bytes || !looksLikeArchive(bytes)) {
    found.directories.set(CONTEXT, { path: found.scratch() });
    return writeDockerfile(textOfInput(bytes).text, found);
  }
  const name = randomBytes(NAME_BYTES).toString('hex');
  found.uploads.set(name, bytes);
  return {
    context: `${UPLOADED}${name}`,
    ...(dockerfile.kind === 'file' && { filename: dockerfile.name }),
  };
}

function layOutNamed(
  name: string,
  source: NamedContextSource,
  loans: Loans,
  lent: Found,
): [string, string][] {
  if (source.kind === 'directory') {
    lent.directories.set(source.name, { path: loans.placeOf(source.name) });
    return [];
  }
  if (source.kind !== 'oci-layout') return [];
  const root = loans.placeOf(source.name);
  if (!lstatSync(root, { throwIfNoEntry: false })?.isDirectory())
    throw new KilnError(
      'KILN_REQUEST_UNSUPPORTED',
      `the layout ${root} is no directory, and cannot be sent to a builder elsewhere`,
      { place: { kind: 'flag', flag: '--build-context' }, hint: 'unpack the archive' },
    );
  const { tag, digest } = parseLayoutReference(`${root}${source.suffix}`);
  using layout = openLayout(root);
  const found = layout.find({ ...(tag && { tag }), ...(digest && { digest }) });
  const store = randomBytes(NAME_BYTES).toString('hex');
  lent.layouts.set(store, root);
  return [[`context:${name}`, `oci-layout://${store}${tag ? `:${tag}` : ''}@${found.digest}`]];
}
