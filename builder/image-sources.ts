import { join } from 'node:path';
import { imageSources } from '../registry/pull.ts';
import { openTagMemory } from '../registry/tags.ts';
import { perSession } from '../solver/step-session.ts';
import type { World } from '../solver/world.ts';
import type { Engine } from './engine.ts';

/**
 * The images of the store of an engine and of registries, for the build that has a session. They
 * are fetched with the logins of that build, and what was looked up is known to that build alone.
 */
export function imageSourcesOf(engine: Engine): World['images'] {
  return engine.shared(makeImageSources);
}

function makeImageSources({ content, images, store }: Engine): World['images'] {
  return perSession(({ registry, warn, scope }) =>
    scope.use(
      imageSources({
        content,
        images,
        registry,
        tags: openTagMemory(join(store.root, 'tags')),
        ...(warn && { warn }),
      }),
    ),
  );
}
