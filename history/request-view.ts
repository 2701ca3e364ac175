import type { GitView, RequestView } from './build-view.ts';

type Document = Readonly<Record<string, unknown>>;

/** What was asked for, from the first line of a record. Old records say less. */
export function requestView(
  header: Document,
  secrets: readonly string[],
  ssh: readonly string[],
): RequestView {
  const request = object(header['request']);
  const attributes = object(header['frontendAttrs']);
  const context = text(header['context']) ?? text(attributes['context']);
  const dockerfile = text(header['file']) ?? text(attributes['filename']);
  const target = text(header['target']) ?? text(attributes['target']);
  const [frontend = text(header['frontend'])] = texts(request['frontend']);
  const directory = text(header['directory']);
  return {
    ...(context !== undefined && { context }),
    ...(directory !== undefined && { directory }),
    ...(dockerfile !== undefined && { dockerfile }),
    ...(target !== undefined && target !== '' && { target }),
    ...(frontend !== undefined && frontend !== '' && { frontend }),
    platforms: or(texts(request['platforms']), text(attributes['platform'])?.split(',')),
    tags: or(texts(header['tags']), exportedNames(header, texts(request['outputs']))),
    buildArgs: { ...prefixed(attributes, 'build-arg:'), ...pairs(request['buildArgs']) },
    labels: { ...prefixed(attributes, 'label:'), ...pairs(request['labels']) },
    namedContexts: { ...prefixed(attributes, 'context:'), ...pairs(request['contexts']) },
    secrets,
    ssh,
    cacheFrom: texts(request['cacheFrom']),
    cacheTo: texts(request['cacheTo']),
    outputs: texts(request['outputs']),
    door: doorOf(header),
  };
}

/**
 * What a list calls a build: the name that BUILDKIT_BUILD_NAME gives it, as with buildx, else that
 * of its image, else that of its context.
 */
export function buildName({
  buildArgs,
  tags,
  context,
}: Pick<RequestView, 'buildArgs' | 'tags' | 'context'>): string {
  return buildArgs['BUILDKIT_BUILD_NAME'] || tags[0] || context || '';
}

/** The names of images in the outputs: clients of servers give no others. */
function exportedNames({ exporters }: Document, outputs: readonly string[]): readonly string[] {
  const asked = Array.isArray(exporters) ? exporters.map(object) : [];
  const names = asked.flatMap(({ attrs }) => text(object(attrs)['name'])?.split(',') ?? []);
  const told = outputs.flatMap((word) => /,name=([^,]+)/.exec(word)?.[1]?.split(' ') ?? []);
  return or(names, told).filter((name) => name !== '');
}

/** What clients that call the frontend themselves tell in its options. */
function prefixed(attributes: Document, prefix: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) =>
      name.startsWith(prefix) && typeof value === 'string'
        ? [[name.slice(prefix.length), value]]
        : [],
    ),
  );
}

function or<Value>(list: readonly Value[], other: readonly Value[] = []): readonly Value[] {
  return list.length > 0 ? list : other;
}

/** A build of before was a client's when it has the name that the client gave it. */
function doorOf({ door, ref }: Document): RequestView['door'] {
  switch (door) {
    case 'cli':
    case 'buildkit':
    case 'docker':
    case 'library':
      return door;
    default:
      return typeof ref === 'string' ? 'buildkit' : 'cli';
  }
}

export function gitView({ git }: Document): GitView | undefined {
  const { remote, commit, branch, isDirty } = object(git);
  const view = {
    ...(typeof remote === 'string' && { remote }),
    ...(typeof commit === 'string' && { commit }),
    ...(typeof branch === 'string' && { branch }),
    ...(typeof isDirty === 'boolean' && { isDirty }),
  };
  return Object.keys(view).length > 0 ? view : undefined;
}

function object(value: unknown): Document {
  return typeof value === 'object' && value !== null ? (value as Document) : {};
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function pairs(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(
    texts(value).map((item) => {
      const equals = item.indexOf('=');
      return equals < 0 ? [item, ''] : [item.slice(0, equals), item.slice(equals + 1)];
    }),
  );
}
