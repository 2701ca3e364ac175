import { mkdirSync, rmSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import type { Session } from '../session.ts';
import type { ContextHost } from './context.ts';

/** Standard input and temporary directories of this process, for contexts that come from there. */
export function contextHost(session: Session, scope: AsyncDisposableStack, signal: AbortSignal): ContextHost {
  return {
    readStdin: () => buffer(process.stdin),
    scratch(label) {
      const path = session.store.scratchPath(label);
      mkdirSync(path, { mode: 0o700 });
      scope.defer(() => rmSync(path, { recursive: true, force: true }));
      return path;
    },
    async unpackTar(archive, into) {
      const { unpackArchive } = await import('./context-archive.ts');
      await unpackArchive(archive, into, signal);
    },
  };
}
