import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InnerMethods } from '../api/grpc/inner-server.ts';
import type { ProgressSink } from '../base/progress.ts';
import { frontendOptionsOf } from '../builder/image-frontend.ts';
import type { BuildRequest } from '../builder/request.ts';
import { layOutCaches } from './lay-out-caches.ts';
import { layOutContexts } from './lay-out-contexts.ts';
import { layOutOutputs } from './lay-out-outputs.ts';
import { lentDirectories } from './lend/lent-directories.ts';
import { lentLogins } from './lend/lent-logins.ts';
import { lentOutputs } from './lend/lent-outputs.ts';
import { lentStores } from './lend/lent-stores.ts';
import { lentUploads } from './lend/lent-uploads.ts';
import { lentValues } from './lend/lent-values.ts';
import type { Loans } from './lend/loans.ts';
import type { Lent } from './lent.ts';
import type { RemoteSolve } from './remote-solve.ts';
import { refuseUnsendable } from './unsendable.ts';

/** A build, laid out for a server. */
export interface LaidOut {
  readonly frontend: string;
  readonly options: Readonly<Record<string, string>>;
  readonly solve: RemoteSolve;
  readonly finish: (response: Readonly<Record<string, string>>) => Promise<void>;
}

/**
 * Writes a request in the words of BuildKit's API, and puts what it needs of the caller where the
 * server finds it. Throws KILN_REQUEST_UNSUPPORTED for what those words cannot say, and the errors
 * of contexts and Dockerfiles that are not there.
 */
export async function layOut(
  request: BuildRequest,
  loans: Loans,
  scope: AsyncDisposableStack,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<LaidOut> {
  refuseUnsendable(request);
  const lent: Lent = {
    directories: new Map(),
    outputs: new Map(),
    stores: new Map(),
    uploads: new Map(),
    finishing: [],
    scratch() {
      const path = mkdtempSync(join(tmpdir(), 'kiln-lent-'));
      scope.defer(() => rmSync(path, { recursive: true, force: true }));
      return path;
    },
  };
  const options = {
    ...frontendOptionsOf(request),
    ...attestOptions(request),
    ...Object.fromEntries(request.frontendOptions),
    ...(await layOutContexts(request, loans, lent)),
  };
  const exporters = layOutOutputs(request, loans, lent, signal);
  const cache = layOutCaches(request, lent, progress);
  const entitlements = new Set(request.allow);
  if (request.network === 'host') entitlements.add('network.host');
  return {
    frontend: request.frontend,
    options,
    solve: {
      request: {
        frontend: request.frontend,
        frontendAttrs: options,
        frontendInputs: Object.fromEntries(
          [...request.frontendInputs].map(([name, text]) => [name, Buffer.from(text, 'base64')]),
        ),
        exporters,
        // Servers that know of one output only read it here.
        ...(exporters[0] && {
          exporterDeprecated: exporters[0].type,
          exporterAttrsDeprecated: exporters[0].attrs,
        }),
        cache,
        entitlements: [...entitlements],
      },
      answers: answersOf(lent, loans, scope, signal),
      lender: { name: loans.shownContext ?? '', sharedKey: loans.sharedKey },
    },
    async finish(response) {
      for (const work of lent.finishing) await work(response);
    },
  };
}

function answersOf(
  { directories, outputs, stores, uploads }: Lent,
  loans: Loans,
  scope: AsyncDisposableStack,
  signal: AbortSignal,
): InnerMethods {
  return new Map([
    ...lentValues(loans),
    ...lentLogins(loans, scope),
    ...(directories.size > 0 ? [lentDirectories(directories)] : []),
    ...(outputs.size > 0 ? [lentOutputs(outputs, signal)] : []),
    ...(stores.size > 0 ? lentStores(stores) : []),
    ...(uploads.size > 0 ? [lentUploads(uploads)] : []),
  ]);
}

function attestOptions({ attest: { provenance, sbom } }: BuildRequest): Record<string, string> {
  const { mode, version, builderId = '', reproducible } = provenance ?? {};
  const words = [
    `mode=${mode}`,
    ...(version === 'v0.2' ? ['version=v0.2'] : ['version=v1']),
    ...(builderId === '' ? [] : [`builder-id=${builderId}`]),
    ...(reproducible ? ['reproducible=true'] : []),
  ];
  return {
    ...(provenance && { 'attest:provenance': words.join(',') }),
    ...(sbom && { 'attest:sbom': '' }),
  };
}
