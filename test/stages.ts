import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { GetTokenAuthorityResponseSchema } from '../api/proto/auth.gen.ts';
import { Control, type SolveRequestSchema } from '../api/proto/control.gen.ts';
import {
  type Answer,
  type Answering,
  empty,
  FILE_SYNC,
  type Lent,
  lending,
  type RawClient,
  replying,
} from './raw-client.ts';

/** A build, and the question at which it waits for its client. */
export interface Stage {
  readonly what: string;
  readonly dockerfile: string;
  readonly request?: MessageInitShape<typeof SolveRequestSchema>;
  /** What the session answers, with `paused` in the place of the answer to the question. */
  readonly answers: (paused: Answering) => Readonly<Record<string, Answering>>;
}

const AUTH = '/moby.filesync.v1.Auth';
const CONTENT = '/containerd.services.content.v1.Content';
const EXPORTER = '/moby.exporter.v1.Exporter';
const FILE_SEND = '/moby.filesync.v1.FileSend/DiffCopy';
const UPLOAD = '/moby.upload.v1.Upload/Pull';
const ZEROS = `sha256:${'0'.repeat(64)}`;
const CONFIG = 'FROM scratch\nCOPY f /\n';

/** A client that fetches tokens says so by a key. */
const AUTHORITY = replying(
  toBinary(
    GetTokenAuthorityResponseSchema,
    create(GetTokenAuthorityResponseSchema, { publicKey: new Uint8Array(32) }),
  ),
);

/** Answers calls that lend the directory `name` by `answering`, and lends the others. */
function paused(dockerfile: string, name: string, answering: Answering): Answering {
  const lent = lending(lentBy(dockerfile));
  return (stream, headers) => (headers['dir-name'] === name ? answering : lent)(stream, headers);
}

function lentBy(dockerfile: string) {
  const files = [
    { path: 'Dockerfile', text: dockerfile },
    { path: 'f', text: 'f' },
  ];
  return { dockerfile: files, context: files };
}

const at = (path: string, others: Readonly<Record<string, Answering>> = {}) => ({
  answers: (answering: Answering) => ({ ...others, [path]: answering }),
});
const sent = (type: string, attrs: Readonly<Record<string, string>> = {}, path = FILE_SEND) => ({
  dockerfile: CONFIG,
  request: { exporters: [{ type, attrs: { ...attrs } }] },
  ...at(path),
});

/**
 * Every question that a build asks its client, each in a build that comes to it. `registry` is the
 * name of one that asks for a login.
 */
export function stagesWith(registry: string): Stage[] {
  const privately = `FROM ${registry}/image\n`;
  const stages: Readonly<Record<string, Omit<Stage, 'what'>>> = {
    'the Dockerfile': {
      dockerfile: CONFIG,
      answers: (answering) => ({ [FILE_SYNC]: paused(CONFIG, 'dockerfile', answering) }),
    },
    'the context': {
      dockerfile: CONFIG,
      answers: (answering) => ({ [FILE_SYNC]: paused(CONFIG, 'context', answering) }),
    },
    'an uploaded context': {
      dockerfile: CONFIG,
      request: { frontendAttrs: { context: 'http://buildkit-session/x' } },
      ...at(UPLOAD),
    },
    'who fetches tokens': { dockerfile: privately, ...at(`${AUTH}/GetTokenAuthority`) },
    'a login': {
      dockerfile: privately,
      ...at(`${AUTH}/Credentials`, { [`${AUTH}/GetTokenAuthority`]: empty }),
    },
    'a token': {
      dockerfile: `FROM ${registry}/tokens/image\n`,
      ...at(`${AUTH}/FetchToken`, { [`${AUTH}/GetTokenAuthority`]: AUTHORITY }),
    },
    'an image of a layout': {
      dockerfile: 'FROM base\n',
      request: { frontendAttrs: { 'context:base': `oci-layout://store@${ZEROS}` } },
      ...at(`${CONTENT}/Read`),
    },
    'a file of the result': sent('oci'),
    'a directory of the result': sent('local'),
    'a layout of the result': sent('oci', { tar: 'false' }, `${CONTENT}/Write`),
    exporters: {
      dockerfile: CONFIG,
      request: { enableSessionExporter: true },
      ...at(`${EXPORTER}/FindExporters`),
    },
    'the end of the export': {
      dockerfile: CONFIG,
      request: { enableSessionExporter: true },
      ...at(`${EXPORTER}/FinalizeExport`, { [`${EXPORTER}/FindExporters`]: empty }),
    },
  };
  return Object.entries(stages).map(([what, stage]) => ({ what, ...stage }));
}

/** A build that is at its question, when `asked` settles. */
export interface Waiting {
  readonly asked: Promise<void>;
  readonly answer: Promise<Answer>;
  readonly session: Lent;
}

/** Begins the build of a stage, whose question is answered by `answering`. */
export function begin(
  client: RawClient,
  { what, dockerfile, request, answers }: Stage,
  ref: string,
  answering: Answering,
): Waiting {
  const asked = Promise.withResolvers<void>();
  const session = client.session({
    [FILE_SYNC]: lending(lentBy(dockerfile)),
    ...answers((stream, headers) => {
      asked.resolve();
      answering(stream, headers);
    }),
  });
  const asking = { ref, session: session.id, frontend: 'dockerfile.v0', ...request };
  const answer = client.call(Control.method.solve, {
    ...asking,
    frontendAttrs: { 'no-cache': '', ...request?.frontendAttrs },
  });
  void answer.then(({ text }) => asked.reject(new Error(`${what}: the build ended: ${text}`)));
  asked.promise.catch(() => {});
  return { asked: asked.promise, answer, session };
}

/** A registry on loopback that answers nothing without a login, or a token for `tokens/`. */
export async function askingRegistry(): Promise<AsyncDisposable & { readonly name: string }> {
  const server = createServer((request, response) => {
    const isForTokens = request.url?.startsWith('/v2/tokens/');
    const realm = isForTokens
      ? `Bearer realm="http://${request.headers.host}/token",service="registry"`
      : 'Basic realm="registry"';
    response.writeHead(401, { 'www-authenticate': realm }).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    name: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
