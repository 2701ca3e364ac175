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
import type { BuildRequest, NamedContextSource } from '../builder/request.ts';
import { openLayout, parseLayoutReference } from '../registry/layout.ts';
import { fetchText } from './fetch-text.ts';
import type { Loans } from './lend/loans.ts';
import type { Lent } from './lent.ts';

type Options = Record<string, string>;

/** The names that frontends have for the context, and for the directory of the Dockerfile. */
const CONTEXT = 'context';
const DOCKERFILE = 'dockerfile';
/** Where the server fetches what is uploaded inside the session. */
const UPLOADED = 'http://buildkit-session/';
const NAME_BYTES = 12;

/**
 * Lends the context, the Dockerfile and the named contexts, and returns the options of the frontend
 * that say where they are. Throws KILN_CONTEXT_NOT_FOUND, KILN_DOCKERFILE_NOT_FOUND,
 * KILN_STDIN_TWICE and the errors of reading them.
 */
export async function layOutContexts(
  request: BuildRequest,
  loans: Loans,
  lent: Lent,
): Promise<Options> {
  return {
    ...(await layOutContext(request, loans, lent)),
    ...Object.fromEntries(
      [...request.namedContexts].flatMap(([name, source]) =>
        layOutNamed(name, source, loans, lent),
      ),
    ),
  };
}

async function layOutContext(request: BuildRequest, loans: Loans, lent: Lent): Promise<Options> {
  const { context, dockerfile } = request;
  if (context.kind === 'input') return await layOutInput(request, loans, lent);
  if (context.kind === 'graph')
    throw new KilnError(
      'KILN_REQUEST_UNSUPPORTED',
      'a context that is a graph cannot be sent to a builder elsewhere',
    );
  if (context.kind === 'remote') {
    if (dockerfile.kind === 'file') return { filename: dockerfile.name };
    if (dockerfile.kind === 'default') return {};
    return { ...(await layOutText(request, loans, lent)), dockerfilekey: DOCKERFILE };
  }
  const directory = loans.placeOf(context.name);
  lent.directories.set(CONTEXT, { path: directory });
  if (dockerfile.kind === 'default')
    return lendDockerfile(join(directory, defaultDockerfile(directory)), directory, lent);
  if (dockerfile.kind !== 'file') return await layOutText(request, loans, lent);
  const path = resolve(directory, dockerfile.path);
  const kind = attempt(
    {
      code: 'KILN_DOCKERFILE_NOT_FOUND',
      what: `failed to read dockerfile: open ${dockerfile.name}`,
      path,
    },
    () => statSync(path),
  );
  if (!kind.isFIFO()) return lendDockerfile(path, directory, lent);
  const bytes = await loans.file(path, DOCKERFILE_LIMIT);
  if (!bytes) throw tooLarge(dockerfile.name);
  return writeDockerfile(bytes, lent);
}

/**
 * Lends the directory of a Dockerfile. Of one outside the context only the file and its ignore file
 * can be read: nobody meant to lend the others.
 */
function lendDockerfile(path: string, context: string, lent: Lent): Options {
  const isOutside = relative(context, path).startsWith('..');
  const real = isOutside ? realpathSync(path) : path;
  const name = basename(real);
  lent.directories.set(DOCKERFILE, {
    path: dirname(real),
    ...(isOutside && { only: [name, `${name}.dockerignore`] }),
  });
  return name === 'Dockerfile' ? {} : { filename: name };
}

/** A Dockerfile that is in no directory of the caller is put into one. */
async function layOutText(
  { dockerfile }: BuildRequest,
  loans: Loans,
  lent: Lent,
): Promise<Options> {
  if (dockerfile.kind === 'text') return writeDockerfile(Buffer.from(dockerfile.text), lent);
  if (dockerfile.kind === 'remote')
    return writeDockerfile(await fetchText(dockerfile.url, DOCKERFILE_LIMIT, loans), lent);
  if (dockerfile.kind !== 'input') throw new Error(`a Dockerfile of kind ${dockerfile.kind}`);
  return writeDockerfile(textOfInput(await loans.input(DOCKERFILE_LIMIT)).text, lent);
}

function writeDockerfile(text: Buffer | string, lent: Lent): Options {
  const path = lent.scratch();
  writeFileSync(join(path, 'Dockerfile'), text);
  lent.directories.set(DOCKERFILE, { path });
  return {};
}

/** Standard input is an archive, which is the context, or a Dockerfile without one. */
async function layOutInput(
  { dockerfile }: BuildRequest,
  loans: Loans,
  lent: Lent,
): Promise<Options> {
  if (dockerfile.kind === 'input')
    throw new KilnError(
      'KILN_STDIN_TWICE',
      'standard input cannot be both the context and the Dockerfile',
      { place: { kind: 'flag', flag: '--file' }, exitCode: 2 },
    );
  const bytes = await loans.input((start) =>
    looksLikeArchive(start) ? Number.POSITIVE_INFINITY : DOCKERFILE_LIMIT,
  );
  if (!bytes || !looksLikeArchive(bytes)) {
    lent.directories.set(CONTEXT, { path: lent.scratch() });
    return writeDockerfile(textOfInput(bytes).text, lent);
  }
  const name = randomBytes(NAME_BYTES).toString('hex');
  lent.uploads.set(name, bytes);
  return {
    context: `${UPLOADED}${name}`,
    ...(dockerfile.kind === 'file' && { filename: dockerfile.name }),
  };
}

function layOutNamed(
  name: string,
  source: NamedContextSource,
  loans: Loans,
  lent: Lent,
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
  lent.stores.set(`oci:${store}`, { root, isWritable: false });
  return [[`context:${name}`, `oci-layout://${store}${tag ? `:${tag}` : ''}@${found.digest}`]];
}
