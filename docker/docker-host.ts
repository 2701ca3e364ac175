import type { ControlHost } from '../api/control/control-service.ts';
import type { Engine } from '../builder/engine.ts';
import type { ImageEvents } from './images/image-events.ts';

/** What the handlers of Docker's API work on. */
export interface DockerHost {
  readonly engine: Engine;
  /** The builds and sessions of BuildKit's services, which this API shares. */
  readonly control: ControlHost;
  /** What happens to images, for those who listen. */
  readonly events: ImageEvents;
  /** The version of Kiln. */
  readonly version: string;
}
