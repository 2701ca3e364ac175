import { KilnError } from '../../base/errors.ts';
import type { Bridge } from '../../builder/bridge.ts';
import { answerCallAbout } from '../../builder/call.ts';
import type { CallSpec } from '../../builder/call-spec.ts';
import { openFrontend } from '../../builder/opened-frontend.ts';
import type { BuildRequest } from '../../builder/request.ts';
import { MissingSubrequest } from '../grpc/missing-cap.ts';

/**
 * # Questions to the frontend (subrequests)
 *
 * A client may ask about a Dockerfile instead of having it built (`--call`). The answer is metadata
 * of a result without refs: the same as JSON and as text.
 */
const METHODS: Readonly<Record<string, { readonly method: CallSpec['method']; what: string }>> = {
  'frontend.outline': { method: 'outline', what: 'List the parameters of the build' },
  'frontend.targets': { method: 'targets', what: 'List the targets of the build' },
  'frontend.lint': { method: 'check', what: 'Check the build file' },
};
const DESCRIBE = 'frontend.subrequests.describe';
const VERSION = '1.0.0';

/** Throws KILN_REQUEST_UNSUPPORTED for a question that the frontend does not know. */
export async function answerSubrequest(
  id: string,
  bridge: Bridge,
  request: BuildRequest,
): Promise<Readonly<Record<string, Uint8Array>>> {
  const opened = await openFrontend(bridge, request);
  if (opened.kind === 'image') return (await opened.ask({ requestid: id })).metadata;
  if (id === DESCRIBE) return described();
  const known = Object.hasOwn(METHODS, id) ? METHODS[id] : undefined;
  if (!known)
    throw new KilnError('KILN_REQUEST_UNSUPPORTED', `unsupported request ${id}`, {
      hint: `the frontend answers ${[...Object.keys(METHODS), DESCRIBE].join(', ')}`,
      cause: new MissingSubrequest(id),
    });
  const ask = (format: CallSpec['format']) =>
    answerCallAbout(opened, { method: known.method, format, ignoreStatus: false });
  const json = await ask('json');
  const text = await ask('text');
  return metadata({
    'result.json': json.text,
    'result.txt': text.text,
    version: VERSION,
    ...(known.method === 'check' && { 'result.statuscode': String(json.exitCode) }),
  });
}

function described(): Record<string, Uint8Array> {
  const named = [
    ...Object.entries(METHODS),
    [DESCRIBE, { what: 'List what is answered' }] as const,
  ];
  const list = named.map(([name, { what }]) => ({
    name,
    version: VERSION,
    type: 'rpc',
    description: what,
    metadata: [{ name: 'result.json' }, { name: 'result.txt' }],
  }));
  const width = Math.max(...named.map(([name]) => name.length));
  const lines = list.map(({ name, description }) => `${name.padEnd(width)}  ${description}\n`);
  return metadata({
    'result.json': JSON.stringify(list),
    'result.txt': lines.join(''),
    version: VERSION,
  });
}

function metadata(texts: Readonly<Record<string, string>>): Record<string, Uint8Array> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, Buffer.from(text)]));
}
