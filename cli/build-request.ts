import { resolve } from 'node:path';
import {
  type BuildRequest,
  buildRequest,
  type ContextSource,
  type DockerfileSource,
  type NamedContextSource,
} from '../builder/request.ts';
import { type OutputSpec, parseOutput } from '../exporter/output-spec.ts';
import { gitRefOf } from '../frontend/convert/gitref.ts';
import { graphOptions } from '../frontend/graph-options.ts';
import { type LayoutReference, parseLayoutReference } from '../registry/layout.ts';
import type { BuildOptions } from './build-options.ts';
import { isRemote } from './context-directory.ts';

const LAYOUT = 'oci-layout://';
const IMAGE = 'docker-image://';

/** What the flags of `kiln build` ask for. Whatever is wrong with an output is told here, before anything is opened. */
export function requestOf(options: BuildOptions): BuildRequest {
  const { buildContexts, outputs, secrets, maxParallelism, proxies, squash, limits } = options;
  return buildRequest({
    ...graphOptions(options),
    context: contextSource(options.context),
    dockerfile: dockerfileSource(options.file),
    namedContexts: new Map([...buildContexts].map(([name, value]) => [name, namedContextSource(name, value)])),
    tags: options.tags,
    proxies,
    limits,
    allow: options.allow,
    devices: options.devices,
    outputs:
      outputs.length > 0 ? outputs.flatMap((output) => outputOf(output, options.tags)) : [parseOutput(PLAIN, options.tags)],
    cacheFrom: options.cacheFrom.map((spec) => (spec.type === 'local' ? { ...spec, src: resolve(spec.src) } : spec)),
    cacheTo: options.cacheTo.map((spec) => (spec.type === 'local' ? { ...spec, dest: resolve(spec.dest) } : spec)),
    squash,
    attest: options.attest,
    secretsInKeys: secrets.flatMap(({ id, invalidate }) => (invalidate ? [id] : [])),
    parallelism: maxParallelism,
  });
}

/** An image in the local store. */
const PLAIN: ReadonlyMap<string, string> = new Map([['type', 'image']]);

function outputOf({ type, dest, attributes }: BuildOptions['outputs'][number], tags: readonly string[]): OutputSpec[] {
  if (type === 'cacheonly') return [];
  const place = dest === undefined ? [] : [['dest', dest] as const];
  return [absolute(parseOutput(new Map([['type', type], ...place, ...attributes]), tags))];
}

/** A request means the same wherever it is read: its paths are absolute. */
function absolute(spec: OutputSpec): OutputSpec {
  if ('directory' in spec) return { ...spec, directory: resolve(spec.directory) };
  if (!('destination' in spec) || spec.destination?.kind !== 'file') return spec;
  return { ...spec, destination: { kind: 'file', path: resolve(spec.destination.path) } };
}

function contextSource(context: string): ContextSource {
  if (context === '-') return { kind: 'input' };
  return isRemote(context) ? { kind: 'remote', url: context } : { kind: 'directory', name: 'context' };
}

function dockerfileSource(file: string | undefined): DockerfileSource {
  if (file === undefined) return { kind: 'default' };
  if (file === '-') return { kind: 'input' };
  if (/^https?:\/\//.test(file)) return { kind: 'remote', url: file };
  return { kind: 'file', path: resolve(file), name: file };
}

/** One `--build-context NAME=VALUE`: an image, an OCI layout, a git repository, a file by http, or a directory. */
function namedContextSource(name: string, value: string): NamedContextSource {
  if (value.startsWith(IMAGE)) return { kind: 'image', ref: value.slice(IMAGE.length) };
  if (value.startsWith(LAYOUT)) return { kind: 'oci-layout', name, suffix: layoutSuffix(parseLayoutReference(value)) };
  if (isRemote(value)) {
    const git = gitRefOf(value);
    if (git && !git.looksLocal) return { kind: 'git', url: value };
    if (/^https?:/.test(value)) return { kind: 'http', url: value };
  }
  return { kind: 'directory', name };
}

function layoutSuffix({ tag, digest }: LayoutReference): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}
