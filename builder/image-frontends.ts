import type { Digest } from '../base/digest.ts';
import type { Platform } from '../base/platform.ts';
import type { AnsweredTarget } from './answered-target.ts';

/**
 * # Frontends in images
 *
 * `# syntax=IMAGE` and the frontend `gateway.v0` name a frontend that runs in a container. It gets
 * the options of the build by BuildKit's names, and asks for everything else over BuildKit's
 * LLBBridge. What runs it is a setting of the engine, because the room that speaks this protocol
 * is above this one, and is loaded only for such a build.
 */
export interface ImageFrontends {
  /**
   * Runs the frontend, and returns what it answers. `bridge` is the `Bridge` of the build. Its type
   * is not named here, because it holds the engine that has this setting.
   */
  run(bridge: object, asked: AskedImageFrontend): Promise<ImageFrontendAnswer>;
}

/** What a frontend in an image is asked. */
export interface AskedImageFrontend {
  /** The name of the image, as it is written. */
  readonly image: string;
  /** The options of the build, by BuildKit's names. */
  readonly options: Readonly<Record<string, string>>;
  /** Graphs that are sent along, each a pb.Definition. */
  readonly inputs: Readonly<Record<string, Uint8Array>>;
}

export interface ImageFrontendAnswer {
  /** Empty when a question was asked that needs no build. */
  readonly targets: readonly AnsweredTarget[];
  /** What the frontend says of its result, by BuildKit's names. Its values are untrusted. */
  readonly metadata: Readonly<Record<string, Uint8Array>>;
  /** The image that was run. */
  readonly image?: FrontendImage;
}

/** The image of a frontend, as provenance tells it. */
export interface FrontendImage {
  /** The full name with tag, without digest. */
  readonly name: string;
  readonly digest: Digest;
  readonly platform: Platform;
}
