import { KilnError } from '../../base/errors.ts';
import type { Handler } from './docker-request.ts';

/** The versions of Docker's API that are served, the newest and the oldest one. */
export const API_VERSION = '1.51';
export const MIN_API_VERSION = '1.24';

/** A method and a path with `{}` for each part that is open. A part may contain slashes. */
type Pattern = `${'GET' | 'HEAD' | 'POST' | 'DELETE' | 'PUT'} /${string}`;

export type Routes = Readonly<Record<Pattern, Handler>>;

/** A request that has found its handler. */
export interface Routed {
  readonly handler: Handler;
  readonly params: readonly string[];
  readonly version: string;
}

/** Finds the handlers of requests. */
export class Router {
  readonly #routes: readonly {
    readonly method: string;
    readonly path: RegExp;
    readonly handler: Handler;
  }[];

  constructor(routes: Routes) {
    this.#routes = Object.entries(routes).map(([pattern, handler]) => {
      const [method = '', path = ''] = pattern.split(' ');
      const source = path.replace(/\./g, '\\.').replaceAll('{}', '(.+)');
      return { method, path: new RegExp(`^${source}$`), handler };
    });
  }

  /**
   * Finds the handler of a request. `path` may begin with a version: `/v1.51/images/json`. Returns
   * undefined when there is none. Throws KILN_REQUEST_UNSUPPORTED for a version that is not served,
   * and KILN_REQUEST_INVALID for a path that does not decode.
   */
  find(method: string, path: string): Routed | undefined {
    const { version, rest } = versionOf(path);
    for (const route of this.#routes) {
      const match = route.method === method ? route.path.exec(rest) : null;
      if (!match) continue;
      return { handler: route.handler, params: match.slice(1).map(decoded), version };
    }
    return undefined;
  }
}

/** Splits the version from a path. Throws KILN_REQUEST_UNSUPPORTED for one that is not served. */
export function versionOf(path: string): { readonly version: string; readonly rest: string } {
  const [, version, rest] = /^\/v(\d{1,3}\.\d{1,3})(\/.*)$/.exec(path) ?? [];
  if (version === undefined || rest === undefined) return { version: API_VERSION, rest: path };
  const tooOld = minor(version) < minor(MIN_API_VERSION);
  if (tooOld || minor(version) > minor(API_VERSION))
    throw new KilnError(
      'KILN_REQUEST_UNSUPPORTED',
      tooOld
        ? `client version ${version} is too old. Minimum supported API version is ` +
            `${MIN_API_VERSION}, please upgrade your client to a newer version`
        : `client version ${version} is too new. Maximum supported API version is ${API_VERSION}`,
      { exitCode: 2 },
    );
  return { version, rest };
}

const minor = (version: string) => {
  const [major = 0, of = 0] = version.split('.').map(Number);
  return major * 1000 + of;
};

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new KilnError(
      'KILN_REQUEST_INVALID',
      `the path has an escape that is not valid: ${text}`,
      {
        exitCode: 2,
      },
    );
  }
}
