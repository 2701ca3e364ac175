import { mkdirSync, rmSync } from 'node:fs';
import type { BuildContext } from '../build-context.ts';
import type { ContextHost } from './loaded-context.ts';

/**
 * Makes what `loadContext` needs from a build: input and files of the session, and temporary
 * directories in the store.
 */
export function contextHost({
  engine,
  session,
  scope,
  signal,
  progress,
}: BuildContext): ContextHost {
  return {
    session,
    warn: progress,
    scratch(label) {
      const path = engine.store.scratchPath(label);
      mkdirSync(path, { mode: 0o700 });
      scope.defer(() => rmSync(path, { recursive: true, force: true }));
      return path;
    },
    async unpackTar(archive, into) {
      const { unpackArchive } = await import('./archive.ts');
      await unpackArchive(archive, into, signal);
    },
  };
}
