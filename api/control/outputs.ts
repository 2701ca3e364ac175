import { KilnError } from '../../base/errors.ts';
import type { Session } from '../../builder/session.ts';
import { parseAnnotation } from '../../exporter/annotations.ts';
import type { ExportResponse } from '../../exporter/exporter.ts';
import { exportTraits, type OutputSpec, parseOutput } from '../../exporter/output-spec.ts';
import type { SolveRequest } from '../proto/control.gen.ts';
import { clientError } from '../session/client-error.ts';
import type { ClientSession } from '../session/client-session.ts';
import { writeClientBlob } from '../session/content/client-store.ts';
import { type SentFile, sendFile } from '../session/filesend/send-bytes.ts';
import { sendDirectory } from '../session/filesend/send-directory.ts';
import { withoutLazy } from './lazy-compression.ts';

/** The store of the client into which an OCI layout goes that is not an archive. */
const EXPORT_STORE = 'export';

/** Where the results of a build go, and what is done when they are there. */
export interface Outputs {
  readonly specs: readonly OutputSpec[];
  /** True when there are outputs whose image is called as the result says. */
  readonly hasNamed: boolean;
  /** Those outputs. */
  named(name: string | undefined): readonly OutputSpec[];
  /** The store of the client for layouts: `Session.layout`. */
  readonly layout: NonNullable<Session['layout']>;
  /** Sends the bytes of the output `name` to the client: `Session.output`. */
  readonly write: NonNullable<Session['output']>;
  /** Reads more exporters. What they send has the numbers after those before. */
  add(exporters: readonly AskedExporter[]): readonly OutputSpec[];
  /** Settles when the client has everything. */
  finish(): Promise<void>;
}

/** An output as a client asks for it. */
export interface AskedExporter {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** The config of the image, for a graph that comes without one. It is read with the graph. */
export const IMAGE_CONFIG = 'containerimage.config';

/**
 * Attributes that change nothing here. buildx sends `prefer-image-digest` when it loads an image
 * into Docker: the digest it is answered is that of the image anyway when there is one platform.
 */
const WISHES: ReadonlySet<string> = new Set(['prefer-image-digest', IMAGE_CONFIG]);

/** Through Docker's socket, buildx calls the image of the engine by the engine's name. */
const TYPES: Readonly<Record<string, string>> = { moby: 'image' };

/** An image that is called so gets the name that is in the metadata of the result. */
const NAME_OF_RESULT = '*';

/** What the outputs of a request need. */
export interface OutputHost {
  /** Returns the session that results are sent to. */
  readonly session: () => ClientSession;
  /** Makes a directory for a result that is sent as files. */
  readonly scratch: () => string;
  readonly warn: (sentence: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Reads the exporters of a request. As with BuildKit, unknown attributes change nothing; a warning
 * names them. Throws KILN_OUTPUT_INVALID.
 */
export function readOutputs(
  request: Pick<SolveRequest, 'exporters' | 'exporterDeprecated' | 'exporterAttrsDeprecated'>,
  host: OutputHost,
): Outputs {
  const { exporters, exporterDeprecated: type, exporterAttrsDeprecated: attrs } = request;
  // A client sends the first one both ways.
  const asked = exporters.length > 0 || type === '' ? exporters : [{ type, attrs }];
  const sending: Sending = { finishing: [], files: new Map() };
  const read = (exporter: AskedExporter, id: number) =>
    readOutput(exporter, String(id), host, sending);
  const isLate = ({ attrs: { name } }: AskedExporter) => name === NAME_OF_RESULT;
  let count = asked.length;
  return {
    specs: asked.flatMap((exporter, id) => (isLate(exporter) ? [] : [read(exporter, id)])),
    hasNamed: asked.some(isLate),
    named: (name) =>
      asked.flatMap((exporter, id) => {
        if (!isLate(exporter)) return [];
        const attrs = { ...exporter.attrs, name: name ?? '' };
        return [read({ type: exporter.type, attrs }, id)];
      }),
    // No directory of this host is an output of a client.
    layout: () => ({
      write: (blob, open, signal) =>
        toldBy(writeClientBlob(host.session(), EXPORT_STORE, blob, open, signal), 'oci', signal),
    }),
    write: async (bytes, _signal, name, about) =>
      await sending.files.get(name)?.(bytes, exporterResponse(about ?? {})),
    add: (more) => more.map((exporter) => read(exporter, count++)),
    async finish() {
      for (const finish of sending.finishing) await finish();
    },
  };
}

/** What is sent to the client, by the numbers of the outputs, and what is done at the end. */
interface Sending {
  readonly finishing: (() => Promise<void>)[];
  readonly files: Map<string, SentFile['write']>;
}

function readOutput(
  exporter: AskedExporter,
  id: string,
  { session, scratch, warn, signal }: OutputHost,
  { finishing, files }: Sending,
): OutputSpec {
  const type = TYPES[exporter.type] ?? exporter.type;
  const dest = exportTraits(type)?.dest;
  const isLayout = isArchive(exporter) && exporter.attrs['tar'] === 'false';
  const isSent = !isLayout && (dest === 'file' || dest === 'optional file');
  const directory = dest === 'directory' ? scratch() : undefined;
  const attrs = withoutLazy(ofRegistry(exporter), `type=${exporter.type}`, warn);
  if (exporter.type === 'local') checkMode(attrs);
  const attributes = new Map([
    ...Object.entries(attrs).filter(([name]) => !WISHES.has(name)),
    // A layout is the same for both types.
    ['type', isLayout ? 'oci' : type],
    ...(isSent ? [['dest', '-'] as const] : []),
    ...(isLayout ? [['dest', EXPORT_STORE] as const] : []),
    ...(directory === undefined ? [] : [['dest', directory] as const]),
  ] as [string, string][]);
  const spec = parseOutput(attributes, [], (names) => {
    // A client gives all outputs the annotations, also those that are no images.
    const unknown = names.filter((name) => !parseAnnotation(name, ''));
    if (unknown.length > 0)
      warn(`type=${exporter.type} has no attribute ${shortList(unknown)}, which is ignored`);
  });
  const told = (sent: Promise<void>) => toldBy(sent, exporter.type, signal);
  if (directory !== undefined) {
    const to = session();
    finishing.push(() => told(sendDirectory(to, id, directory, signal)));
  }
  // Without a session the request is refused now.
  if (isLayout) session();
  if (!('destination' in spec)) return spec;
  const file = sendFile(session(), id, signal);
  finishing.push(() => told(file.finish()));
  files.set(id, (bytes, about) => told(file.write(bytes, about)));
  return { ...spec, destination: { kind: 'lent', name: id } };
}

function isArchive({ type }: AskedExporter): boolean {
  return type === 'oci' || type === 'docker';
}

/** An image that is pushed is not kept here as well, unless the client asks for it. */
function ofRegistry({ type, attrs }: AskedExporter): AskedExporter['attrs'] {
  const pushed = type === 'image' && /^(?:true|1|t)?$/i.test(attrs['push'] ?? 'false');
  return pushed ? { store: 'false', ...attrs } : attrs;
}

/** The client itself removes what is not in a result. Only what it may ask for is known here. */
function checkMode(attrs: Record<string, string>): void {
  const { mode = '' } = attrs;
  delete attrs['mode'];
  if (!/^(?:|copy|delete)$/i.test(mode.trim()))
    throw new KilnError(
      'KILN_OUTPUT_INVALID',
      `invalid local exporter mode ${JSON.stringify(mode)}`,
      {
        hint: 'mode is copy or delete',
      },
    );
}

/** A client can send anything as a name, and any number of names. */
function shortList(names: readonly string[]): string {
  return names
    .slice(0, 5)
    .map((name) => JSON.stringify(name.slice(0, 100)))
    .join(', ');
}

/** What is sent. An error names the type of the output, unless the build was cancelled. */
function toldBy(sent: Promise<void>, type: string, signal: AbortSignal): Promise<void> {
  return sent.catch((error) => Promise.reject(signal.aborted ? error : refused(error, type)));
}

/**
 * The error of a client that does not take a result. With `--load` the reason is mostly that the
 * client reaches no Docker engine, of which it says nothing here.
 */
function refused(error: unknown, type: string): unknown {
  const told = clientError(error);
  if (!(told instanceof KilnError) || told.code !== 'KILN_CLIENT_FAILED') return told;
  return told.with({
    message: `the client did not take the output of type=${type}: ${told.message}`,
    ...(type === 'docker' && {
      hint: 'with --load, the client needs a Docker engine; without one, use --push or --output',
    }),
  });
}

/** What the exporters tell, as texts. */
export function exporterResponse(response: ExportResponse): Record<string, string> {
  return Object.fromEntries(
    Object.entries(response).flatMap(([name, value]): [string, string][] => {
      if (value === undefined || name === 'buildx.build.ref') return [];
      if (typeof value === 'string') return [[name, value]];
      const json = JSON.stringify(value);
      const isDescriptor = name === 'containerimage.descriptor';
      return [[name, isDescriptor ? Buffer.from(json).toString('base64') : json]];
    }),
  );
}
