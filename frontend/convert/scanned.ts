import { seal } from '../../solver/llb/draft.ts';
import type { LlbEdge } from '../../solver/llb/graph.ts';
import type { ScannedTrees } from '../frontend.ts';
import type { Conversion } from './conversion.ts';
import { parseBool } from './goformat.ts';
import type { StageLife, StageNode } from './stage.ts';

/** ARGs that say what an SBOM is about, besides the result. */
export const SCAN_CONTEXT = 'BUILDKIT_SBOM_SCAN_CONTEXT';
export const SCAN_STAGE = 'BUILDKIT_SBOM_SCAN_STAGE';

type Lowered = StageNode & { readonly life: Extract<StageLife, { kind: 'lowered' }> };

/** The trees that these ARGs name, of the stages that the target needs. */
export function scannedTrees(conversion: Conversion, target: StageNode): ScannedTrees | undefined {
  const { context, stages } = conversion;
  const lowered = stages.all.filter(
    (stage): stage is Lowered => stage.registered && stage.life.kind === 'lowered',
  );
  const trees = new Map<string, LlbEdge>();
  const sealed = (tree: typeof context) => seal(tree, conversion.target);
  let { ignoreCache } = target;
  for (const stage of lowered) {
    if (stage === target && isOn(conversion, stage, SCAN_CONTEXT))
      trees.set('context', sealed(context));
    if (stage === target || !isOn(conversion, stage, SCAN_STAGE)) continue;
    const { tree } = stage.life.work.state;
    if (tree) trees.set(stage.name ?? '', sealed(tree));
    ignoreCache ||= stage.ignoreCache;
  }
  return trees.size > 0 || ignoreCache ? { trees, ignoreCache } : undefined;
}

/** The value of the ARG in a stage is true, or a list of stages with this one. */
function isOn({ globals }: Conversion, { name, life }: Lowered, arg: string): boolean {
  const value = life.work.buildArgs.get(arg) ?? globals.get(arg);
  if (value === undefined) return false;
  return parseBool(value) ?? value.split(',').includes(name ?? '');
}
