import { join } from 'node:path';
import { openChallengeMemory } from '../registry/challenge-memory.ts';
import { imageSources } from '../registry/pull.ts';
import { openTagMemory } from '../registry/tags.ts';
import { perSession } from '../solver/step-session.ts';
import type { World } from '../solver/world.ts';
import type { Engine } from './engine.ts';

/**
 * Returns the function that gives each build its images, by its session: those of the store and of
 * registries. They are fetched with the logins of the build. Look-ups are not shared between
 * builds, because logins differ.
 */
export function imageSourcesOf(engine: Engine): World['images'] {
  return engine.shared(makeImageSources);
}

function makeImageSources({ content, images, store }: Engine): World['images'] {
  return perSession(({ registry, lookUps, warn, scope }) =>
    scope.use(
      imageSources({
        content,
        images,
        registry: { ...registry, challenges: openChallengeMemory(join(store.root, 'challenges')) },
        lookUps,
        tags: openTagMemory(join(store.root, 'tags')),
        ...(warn && { warn }),
      }),
    ),
  );
}
