import { KilnError } from '../../base/errors.ts';
import type { ImageConfig } from '../../base/oci.ts';
import type { AskedImageFrontend } from '../../builder/image-frontends.ts';
import type { ProcessSpec } from '../../executor/executor.ts';
import { imageProcess } from '../../executor/image-process.ts';
import { MissingCap } from '../grpc/missing-cap.ts';
import type { WorkerRecord } from '../proto/worker.gen.ts';

const CAPS = 'moby.buildkit.frontend.caps';
const NO_NETWORK = 'moby.buildkit.frontend.network.none';
const INPUTS = 'moby.buildkit.frontend.inputs';

/** What the process of a frontend is told of its build. */
export interface FrontendSurroundings {
  readonly sessionId: string;
  readonly workers: readonly WorkerRecord[];
}

/**
 * Throws KILN_FRONTEND_UNSUPPORTED when the build asks for a capability that the image does not
 * name. A frontend without it would ignore what it does not know, such as a named context.
 */
export function checkCaps(
  { image, options, inputs }: AskedImageFrontend,
  config: ImageConfig,
): void {
  const offered = capsIn(config.config?.Labels?.[CAPS]);
  const wanted = capsIn(options['frontend.caps']);
  if (Object.keys(inputs).length > 0) wanted.add(INPUTS);
  for (const cap of wanted)
    if (!offered.has(cap))
      throw new KilnError(
        'KILN_FRONTEND_UNSUPPORTED',
        `the frontend ${image} does not support ${MEANING[cap] ?? cap}`,
        {
          hint: `an image says that it does by ${cap} in its label ${CAPS}`,
          cause: new MissingCap(cap),
        },
      );
}

/** What users know the capabilities by. */
const MEANING: Readonly<Record<string, string>> = {
  'moby.buildkit.frontend.contexts': 'named contexts (--build-context)',
  'moby.buildkit.frontend.subrequests': 'questions (--call)',
  [INPUTS]: 'graphs as inputs',
};

/** A capability may be followed by `+forward`, which is about forwarding requests. */
function capsIn(list: string | undefined): Set<string> {
  const names = (list ?? '').split(',').map((cap) => cap.split('+', 1)[0]?.trim() ?? '');
  return new Set(names.filter(Boolean));
}

/** True when the image asks for network. Without the label it gets none. */
export function asksForNetwork({ config }: ImageConfig): boolean {
  return /^(?:0|f|false)$/i.test(config?.Labels?.[NO_NETWORK] ?? '');
}

/** The process of a frontend, over the mounted root file system of its image. */
export function frontendSpec(
  rootfs: string,
  image: ImageConfig,
  { options }: AskedImageFrontend,
  surroundings: FrontendSurroundings,
): ProcessSpec {
  const entrypoint = image.config?.Entrypoint ?? [];
  const spec = imageProcess(rootfs, image);
  return {
    ...spec,
    args: entrypoint.length > 0 ? entrypoint : ['/run'],
    env: [
      ...spec.env,
      ...Object.entries(options).map(
        ([name, value], index) => `BUILDKIT_FRONTEND_OPT_${index}=${name}=${value}`,
      ),
      `BUILDKIT_SESSION_ID=${surroundings.sessionId}`,
      `BUILDKIT_WORKERS=${JSON.stringify(surroundings.workers.map(workerInfo))}`,
      'BUILDKIT_EXPORTEDPRODUCT=kiln',
    ],
    network: asksForNetwork(image) ? 'default' : 'none',
  };
}

/** A worker as BuildKit's client library has it in JSON. */
function workerInfo({ id, labels, platforms = [] }: WorkerRecord) {
  return {
    ID: id,
    Labels: labels,
    Platforms: platforms.map(({ os, architecture, variant }) => ({
      architecture,
      os,
      ...(variant && { variant }),
    })),
    GCPolicy: null,
  };
}
