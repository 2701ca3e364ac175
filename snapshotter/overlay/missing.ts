import { KilnError } from '../../base/errors.ts';
import type { LayerId } from '../snapshotter.ts';

export function missingLayer(id: LayerId): KilnError {
  return new KilnError('KILN_LAYER_MISSING', `the store has no layer ${id}`, {
    hint: "it was removed; build, pull or load the image again ('kiln fsck' lists what else is lost)",
  });
}
