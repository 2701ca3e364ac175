import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { TOKEN } from './front.ts';

/** Where the base images of a row are. */
export type PlaceName = 'local' | 'registry' | 'token' | 'latency' | 'far';

export interface Place {
  readonly name: PlaceName;
  /** A few words for the table. */
  readonly title: string;
  /** `host:port` of the registry. Undefined when the images are in the engine's store. */
  readonly host: string | undefined;
  /** Each request needs a token, which whoever asks gets. */
  readonly asksForToken: boolean;
}

/** The places of the rows that users wait for all day. */
export const EVERYWHERE: readonly PlaceName[] = ['registry', 'token', 'latency', 'local'];

/** The time that is added to each round trip of a distant registry, in milliseconds. */
const ROUND_TRIP_MS = 30;

const LOCAL: Place = { name: 'local', title: 'local', host: undefined, asksForToken: false };

export type Places = AsyncDisposable & ReadonlyMap<PlaceName, Place>;

/** Starts a front of each kind before `registry`. Only local without a registry. */
export async function startPlaces(registry: string | undefined): Promise<Places> {
  const places = new Map<PlaceName, Place>([['local', LOCAL]]);
  const fronts: Front[] = [];
  const start = async (...args: readonly string[]) => {
    const front = await startFront(args);
    fronts.push(front);
    return front.host;
  };
  const add = (name: PlaceName, title: string, host: string, asksForToken: boolean) =>
    places.set(name, { name, title, host, asksForToken });
  if (registry) {
    const delay = ['delay', `${ROUND_TRIP_MS}`] as const;
    const [token, latency] = [
      await start('token', registry),
      await start(delay[0], registry, delay[1]),
    ];
    add('registry', 'registry', registry, false);
    add('token', 'registry that asks for a token', token, true);
    add('latency', `registry, ${ROUND_TRIP_MS} ms away`, latency, false);
    add('far', `the same, with a token`, await start(delay[0], token, delay[1]), true);
  }
  return Object.assign(places, {
    [Symbol.asyncDispose]: async () => {
      for (const front of fronts.reverse()) await front.end();
    },
  });
}

interface Front {
  readonly host: string;
  end(): Promise<void>;
}

/** Starts front.ts in a process of its own, because the bench stands still while it waits. */
async function startFront(args: readonly string[]): Promise<Front> {
  const program = join(import.meta.dirname, 'front.ts');
  const child: ChildProcess = spawn(process.execPath, [program, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [port] = await once(child.stdout!, 'data');
  return {
    host: `127.0.0.1:${String(port).trim()}`,
    async end() {
      const ended = once(child, 'close');
      child.kill();
      await ended;
    },
  };
}

const ACCEPT =
  'accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json';

/** The curl flags that a request to this place needs. */
export const curlFlags = (place: Place): string =>
  `-sSf -H '${ACCEPT}'${place.asksForToken ? ` -H 'authorization: Bearer ${TOKEN}'` : ''}`;

/** A shell command that asks for a tag with one connection. Undefined for local images. */
export function question(place: Place, image: string): string | undefined {
  if (place.host === undefined) return undefined;
  const to = `-o /dev/null`;
  const head = `-I ${to} http://${place.host}/v2/${image}/manifests/latest`;
  const asked = place.asksForToken
    ? `-s ${head} --next -s ${to} http://${place.host}/token --next `
    : '';
  return `curl ${asked}${curlFlags(place)} ${head}`;
}
