import type { SourceText } from '../base/errors.ts';
import type { OutputSpec } from '../exporter/output-spec.ts';
import type { ImageResolver } from '../frontend/frontend.ts';
import { imageResolver } from '../solver/ops/source-image.ts';
import type { EmulatedStep } from '../solver/step-session.ts';
import type { AnsweredTarget } from './answered-target.ts';
import type { BuildContext } from './build-context.ts';
import type { BuildCaches } from './caches/caches.ts';
import { resolverWithProgress } from './frontend-request.ts';
import type { FrontendImage } from './image-frontends.ts';
import { imageSourcesOf } from './image-sources.ts';
import type { BuildRequest, CacheFromSpec, CacheToSpec } from './request.ts';
import { type LocalDirectory, lendToSteps } from './session/lend.ts';
import { openSolving, type Solving } from './solving.ts';
import type { MetaServices } from './source-meta.ts';
import type { SourceGate } from './sources-admitted.ts';

/**
 * # What the frontends of one build share
 *
 * A build usually asks one frontend, the one that its request names. A client that drives a build
 * (BuildKit's LLBBridge) may ask several frontends, and solve graphs of its own. All of them share
 * one solver, so a step that two of them need runs once. They also share the look-ups of images.
 */
export interface Bridge {
  readonly context: BuildContext;
  readonly resolveImage: ImageResolver;
  /** Returns the solver of the build. It is made at the first call. */
  readonly solving: () => Solving;
  /** Paths of OCI layouts by the name of their named context. Each frontend adds its own. */
  readonly layouts: Map<string, string>;
  /**
   * The directories for `local://NAME` in graphs, by NAME and also by `localKey`. Each frontend
   * adds its own.
   */
  readonly locals: Map<string, LocalDirectory>;
  /** What decides about sources. Undefined when the build has no policies. */
  readonly gate: SourceGate | undefined;
  /** Reads more caches, for what is solved from now on. */
  readonly importCaches: (specs: readonly CacheFromSpec[]) => Promise<void>;
  /** How many frontends in images stand between the build and this bridge: one may ask another. */
  readonly depth: number;
}

/** The graphs that are to be solved and exported, as a frontend or a client returns them. */
export interface BuildAnswer {
  /**
   * The request that the graphs were made from: that of the build, or another one of a client. The
   * outputs and caches are always those of the build's request.
   */
  readonly request: BuildRequest;
  readonly targets: readonly AnsweredTarget[];
  /** The text of the build file. Undefined when a client gives a graph without one. */
  readonly dockerfile: SourceText | undefined;
  /** What a frontend in an image says of its result, by BuildKit's names. */
  readonly metadata?: Readonly<Record<string, Uint8Array>> | undefined;
  /** A frontend in an image that was asked: its image, and the options that name it. */
  readonly frontend?: NamedFrontend | undefined;
  /** Outputs that the caller names when it knows the result, beside those of the request. */
  readonly outputs?: readonly OutputSpec[] | undefined;
  /** True for a result by platforms, which is exported as one, also when it has one platform. */
  readonly isMap?: boolean | undefined;
}

export interface NamedFrontend {
  readonly image: FrontendImage;
  /** `source`, and `cmdline` when a line of the build file names the image. */
  readonly options: Readonly<Record<string, string>>;
}

/** Makes the graphs of a build, in place of the frontend that its request names. */
export type BuildDriver = (bridge: Bridge) => Promise<BuildAnswer>;

/** Opens the session of the steps and the caches of a build. `context.scope` closes them. */
export async function openBridge(context: BuildContext): Promise<Bridge> {
  const { engine, progress, signal, scope } = context;
  const layouts: Bridge['layouts'] = new Map();
  const locals: Bridge['locals'] = new Map();
  const trusted = new Set<string>();
  const trust = (specs: readonly (CacheFromSpec | CacheToSpec)[]) => {
    for (const spec of specs)
      if (spec.type === 'registry' && spec.insecure) trusted.add(spec.ref.domain);
  };
  trust([...context.request.cacheFrom, ...context.request.cacheTo]);
  const emulated: EmulatedStep[] = [];
  let caches: BuildCaches | undefined;
  const session = scope.use(
    await lendToSteps(
      context,
      { locals, layouts, trusted },
      {
        onEmulated: (step) => void emulated.push(step),
        onLayer: (layer) => {
          // The layer is packed or described while later steps run. An export that needs it joins
          // this work, and reports its errors.
          if (caches?.layerMade(layer)) return;
          engine.snapshotter.describe(layer, signal).catch(() => {});
        },
      },
    ),
  );
  const images = imageSourcesOf(engine)(session);
  const { request } = context;
  const openCaches = async () => {
    const { BuildCaches } = await import('./caches/caches.ts');
    return (caches ??= scope.use(new BuildCaches(context, images, session.registry)));
  };
  if (request.cacheFrom.length + request.cacheTo.length > 0) await openCaches();
  let opened: Solving | undefined;
  const resolve = imageResolver(images, signal, layouts);
  const solving = () =>
    (opened ??= openSolving(context, { session, images, caches: () => caches, emulated, gate }));
  const gate = await openGate({ context, resolveImage: resolve, solving });
  const shown = resolverWithProgress(gate ? gate.images(resolve) : resolve, progress);
  return {
    context,
    resolveImage: context.foresight?.resolver(images, shown) ?? shown,
    solving,
    layouts,
    locals,
    gate,
    async importCaches(specs) {
      trust(specs);
      (await openCaches()).import(specs);
    },
    depth: 0,
  };
}

/** Opens the gate of a build that has policies. `services` know no policy. */
async function openGate(
  services: MetaServices & { readonly context: BuildContext },
): Promise<SourceGate | undefined> {
  const { request, session } = services.context;
  if (request.sourcePolicies.length === 0 && !session.verifySource) return undefined;
  const { sourceGate } = await import('./source-gate.ts');
  return sourceGate(request.sourcePolicies, session.verifySource, services);
}
