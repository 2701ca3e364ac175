import { KilnError } from '../../base/errors.ts';
import type { Session } from '../../builder/session.ts';
import { parseAnnotation } from '../../exporter/annotations.ts';
import type { ExportResponse } from '../../exporter/exporter.ts';
import { exportTraits, type OutputSpec, parseOutput } from '../../exporter/output-spec.ts';
import type { SolveRequest } from '../proto/control.gen.ts';
import { clientError } from '../session/client-error.ts';
import type { ClientSession } from '../session/client-session.ts';
import { sendLayout } from '../session/content/send-layout.ts';
import { type SentFile, sendFile } from '../session/filesend/send-bytes.ts';
import { sendDirectory } from '../session/filesend/send-directory.ts';

/** The store of the client into which an OCI layout goes that is not an archive. */
const EXPORT_STORE = 'export';

/** Where the results of a build go, and what is done when they are there. */
export interface Outputs {
  readonly specs: readonly OutputSpec[];
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

/**
 * Attributes that change nothing here. buildx sends `prefer-image-digest` when it loads an image
 * into Docker: the digest it is answered is that of the image anyway when there is one platform.
 */
const WISHES: ReadonlySet<string> = new Set(['prefer-image-digest']);

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
  const specs = asked.map((exporter, id) => readOutput(exporter, String(id), host, sending));
  let count = specs.length;
  return {
    specs,
    write: async (bytes, _signal, name) => await sending.files.get(name)?.(bytes),
    add: (more) => more.map((exporter) => readOutput(exporter, String(count++), host, sending)),
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
  const dest = exportTraits(exporter.type)?.dest;
  const isLayout = exporter.type === 'oci' && exporter.attrs['tar'] === 'false';
  const isSent = !isLayout && (dest === 'file' || dest === 'optional file');
  const directory = isLayout || dest === 'directory' ? scratch() : undefined;
  const attributes = new Map([
    ...Object.entries(exporter.attrs).filter(([name]) => !WISHES.has(name)),
    ['type', exporter.type],
    ...(isSent ? [['dest', '-'] as const] : []),
    ...(directory === undefined ? [] : [['dest', directory] as const]),
  ] as [string, string][]);
  const spec = parseOutput(attributes, [], (names) => {
    // A client gives all outputs the annotations, also those that are no images.
    const unknown = names.filter((name) => !parseAnnotation(name, ''));
    if (unknown.length > 0)
      warn(`type=${exporter.type} has no attribute ${unknown.join(', ')}, which is ignored`);
  });
  if (directory !== undefined) {
    const to = session();
    finishing.push(() =>
      isLayout
        ? sendLayout(to, EXPORT_STORE, directory, signal)
        : sendDirectory(to, id, directory, signal),
    );
  }
  if (!('destination' in spec)) return spec;
  const file = sendFile(session(), id, signal);
  const told = (sent: Promise<void>) =>
    sent.catch((error) => Promise.reject(signal.aborted ? error : refused(error, spec)));
  finishing.push(() => told(file.finish()));
  files.set(id, (bytes) => told(file.write(bytes)));
  return { ...spec, destination: { kind: 'lent', name: id } };
}

/**
 * The error of a client that does not take a result. With `--load` the reason is mostly that the
 * client reaches no Docker engine, of which it says nothing here.
 */
function refused(error: unknown, { type }: OutputSpec): unknown {
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
