import type { Bridge, BuildAnswer, BuildDriver } from '../../builder/bridge.ts';
import { askFrontend } from '../../builder/opened-frontend.ts';
import type { SolveRequest } from '../proto/control.gen.ts';
import type { Outputs } from './outputs.ts';
import { verifyPlatforms } from './verify-platforms.ts';

/**
 * What a client, a graph or a frontend answers for a build, and what is told of that: warnings
 * about its platforms, outputs that are named by it, and metadata for the caller.
 */
export class ToldAnswer {
  readonly #given: BuildDriver | undefined;
  readonly #outputs: Outputs;
  readonly #platforms: string | undefined;
  #metadata: BuildAnswer['metadata'];

  /** `given` is undefined when the frontend of the request is to be asked. */
  constructor(
    given: BuildDriver | undefined,
    outputs: Outputs,
    { frontendAttrs }: Pick<SolveRequest, 'frontendAttrs'>,
  ) {
    this.#given = given;
    this.#outputs = outputs;
    this.#platforms = frontendAttrs['platform'];
  }

  readonly drive: BuildDriver = async (bridge: Bridge) => {
    const answer = await (this.#given ?? askFrontend)(bridge);
    this.#metadata = answer.metadata;
    if (this.#given)
      for (const short of verifyPlatforms(answer, this.#platforms))
        bridge.context.progress({ kind: 'warning', short, detail: [] });
    const image = answer.metadata?.['image.name'];
    const named = this.#outputs.named(image && Buffer.from(image).toString());
    return { ...answer, outputs: [...(answer.outputs ?? []), ...named] };
  };

  /** The driver of the build. Undefined when the builder can ask the frontend by itself. */
  get driver(): BuildDriver | undefined {
    return this.#given || this.#outputs.hasNamed ? this.drive : undefined;
  }

  /** What the caller of the build is told. */
  get told(): Record<string, string> {
    return toldOf(this.#metadata);
  }
}

/** The part of a result's metadata that the caller of the build is told. */
export function toldOf(metadata: BuildAnswer['metadata'] = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata).flatMap(([name, value]): [string, string][] =>
      name.startsWith('frontend.') ? [[name, Buffer.from(value).toString()]] : [],
    ),
  );
}
