import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { KilnError, messageOf } from '../../base/errors.ts';
import { json } from '../http/answers.ts';
import { versionOf } from '../http/router.ts';

/** What a request would be answered by: a response, or a connection that it takes over. */
export type AnswerTo = ServerResponse | { readonly socket: Duplex; readonly head: Buffer };

/** Answers requests that are not a matter of building. */
export type Otherwise = (
  request: IncomingMessage,
  answer: AnswerTo,
  signal: AbortSignal,
) => Promise<void>;

/** Lists of what Kiln has none of. Programs that only build ask for them, too. */
const EMPTY_LISTS: Readonly<Record<string, unknown>> = {
  'GET /containers/json': [],
  'GET /networks': [],
  'GET /volumes': { Volumes: [], Warnings: [] },
};

/** What only looks like a matter of images, and why Kiln does not do it. */
const WITHOUT_IMAGES: Readonly<Record<string, string>> = {
  'GET /images/search': 'Kiln does not search registries for images',
  'POST /commit': 'an image is committed from a container, and Kiln has no containers',
};

/**
 * Answers with empty lists of containers, networks and volumes, and refuses what only an engine
 * that has them can do. Throws KILN_NO_ENGINE.
 */
export const noEngine: Otherwise = async ({ method = '', url = '' }, answer) => {
  const { rest: path } = versionOf(url.split('?')[0] ?? '');
  const list = EMPTY_LISTS[`${method} ${path}`];
  if (list !== undefined && answer instanceof ServerResponse) return json(answer, list);
  throw new KilnError(
    'KILN_NO_ENGINE',
    WITHOUT_IMAGES[`${method} ${path}`] ??
      `Kiln builds images and has no containers, networks or volumes: it does not serve ` +
        `${method} ${path.slice(0, 200)}`,
    {
      hint:
        'start kiln serve with --pass-to SOCKET of an engine, such as Podman, or use that ' +
        'engine',
      exitCode: 2,
    },
  );
};

/** The error of an engine that does not answer. An error of Kiln, or of a cancellation, stays. */
export function engineLost(socketPath: string, error: unknown): unknown {
  if (error instanceof KilnError || (error as Error).name === 'AbortError') return error;
  return new KilnError(
    'KILN_NO_ENGINE',
    `the engine at unix://${socketPath} does not answer: ${messageOf(error)}`,
    { hint: 'start the engine, or name another one with --pass-to' },
  );
}
