import { mkdirSync, rmSync } from 'node:fs';
import type { ProgressSink } from '../base/progress.ts';
import type { ContextHost } from '../builder/context/context.ts';
import { readFifo, readUpTo } from './read-stream.ts';
import type { Session } from './session.ts';
import { standardInput } from './stdin.ts';

/** Standard input and temporary directories of this process, for contexts that come from there. */
export function contextHost(session: Session, scope: AsyncDisposableStack, signal: AbortSignal, warn: ProgressSink): ContextHost {
  return {
    readStdin: (max) => readUpTo(standardInput(), max, signal),
    readPipe: (path, max) => readFifo(path, max, signal),
    warn,
    scratch(label) {
      const path = session.store.scratchPath(label);
      mkdirSync(path, { mode: 0o700 });
      scope.defer(() => rmSync(path, { recursive: true, force: true }));
      return path;
    },
    async unpackTar(archive, into) {
      const { unpackArchive } = await import('../builder/context/archive.ts');
      await unpackArchive(archive, into, signal);
    },
  };
}
