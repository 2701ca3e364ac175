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
  foresight,
}: BuildContext): ContextHost {
  return {
    session: {
      directory: (name, wanted) => session.directory(name, wanted),
      placeOf: (name) => session.placeOf(name),
      // A pipe can be read once, and a build that has assumed something may begin again.
      file(path, max) {
        foresight?.giveUp();
        return session.file(path, max);
      },
      input(max, name) {
        foresight?.giveUp();
        return session.input(max, name);
      },
    },
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
