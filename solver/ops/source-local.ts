import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { StatusEvent } from '../../base/progress.ts';
import type { SourceOp } from '../llb/ops.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';
import { sessionOf, type WantedFiles } from '../step-session.ts';
import { byteStatus } from './byte-status.ts';

/**
 * The op of `local://NAME`, a directory of the caller. Its result is the directory itself, which
 * ops read by content. `run` rejects with KILN_CONTEXT_NOT_FOUND if the caller lends no such
 * directory.
 */
export function sourceLocalOp({ identifier, attrs }: SourceOp): Op<BuildResult> {
  const name = identifier.slice('local://'.length);
  const wanted = wantedFiles(attrs);
  return {
    resource: 'none',
    cacheMap: async () => ({
      parts: [{ name: 'local directory', value: name }],
      inputs: [],
      volatile: true,
    }),
    run: async (_inputs, context) => {
      const started = Date.now();
      const session = sessionOf(context);
      const directory = await session.directory(name, wanted);
      if (!directory)
        throw new KilnError(
          'KILN_CONTEXT_NOT_FOUND',
          `the build graph names a local directory ${JSON.stringify(name)} that was not given`,
        );
      session.found.locals.add(name);
      if (directory.received !== undefined)
        context.progress(transferred(name, directory.received, started, context.vertex));
      const { progress, vertex } = context;
      let count = 0;
      const onHashing = (total: number) =>
        byteStatus({ progress, vertex }, reading(name, ++count), total);
      return [{ ...directory, onHashing }];
    },
  };
}

/** The name of reading files in their place. What several steps read is told of each. */
function reading(name: string, count: number): string {
  return `reading ${name}${count === 1 ? '' : ` (${count})`}:`;
}

/** What was brought of a directory, under BuildKit's name for it. */
function transferred(name: string, received: number, started: number, vertex: Digest): StatusEvent {
  const id = `transferring ${name}:`;
  const now = Date.now();
  const times = { started, completed: now, timestamp: now };
  return { kind: 'status', vertex, id, name: id, current: received, total: 0, ...times };
}

/** Throws KILN_GRAPH_INVALID when a list of the graph is not one. */
export function wantedFiles(attrs: SourceOp['attrs']): WantedFiles {
  return {
    include: listIn(attrs, 'local.includepattern'),
    exclude: listIn(attrs, 'local.excludepatterns'),
    follow: listIn(attrs, 'local.followpaths'),
    session: attrs['local.session'] ?? '',
    purpose: attrs['local.sharedkeyhint'] ?? '',
    differ: differIn(attrs),
    ...(attrs['local.metadatatransfer'] === 'true' && {
      exceptMetadata: listIn(attrs, 'local.metadatatransferexclude'),
    }),
  };
}

function differIn(attrs: SourceOp['attrs']): WantedFiles['differ'] {
  const differ = attrs['local.differ'] || undefined;
  if (differ === undefined || differ === 'none' || differ === 'metadata') return differ;
  throw new KilnError(
    'KILN_GRAPH_INVALID',
    `the build graph has local.differ=${JSON.stringify(differ)}`,
  );
}

function listIn(attrs: SourceOp['attrs'], name: string): readonly string[] {
  const text = attrs[name];
  if (text === undefined || text === '') return [];
  const list = tryJson(text);
  if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
  throw new KilnError('KILN_GRAPH_INVALID', `${name} of a local directory is not a list of texts`);
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
