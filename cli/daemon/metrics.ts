import { BuildMetrics } from '../../api/metrics/build-metrics.ts';
import type { Engine } from '../../builder/engine.ts';
import { survey } from '../../cache/gc/collect.ts';
import { isOfImage } from '../../cache/gc/item.ts';
import { totalSize } from '../../cache/gc/plan.ts';
import { VERSION } from '../version.ts';

export { serveMetrics } from '../../api/metrics/serve-metrics.ts';

/** Returns the metrics of the builds of an engine, which is asked for its store later. */
export function openMetrics(engine: () => Engine): BuildMetrics {
  return new BuildMetrics({
    version: VERSION,
    storeSizes() {
      const items = survey(engine()).filter(({ fixed }) => !fixed);
      return {
        images: totalSize(items.filter(isOfImage)),
        cache: totalSize(items.filter((item) => !isOfImage(item))),
      };
    },
  });
}
