import { policyMessage } from '../api/gateway/source-policies.ts';
import type { InnerMethods } from '../api/grpc/inner-server.ts';
import type { ProgressSink } from '../base/progress.ts';
import type { BuildWords } from './build-words.ts';
import { lentDirectories } from './lend/lent-directories.ts';
import { lentLogins } from './lend/lent-logins.ts';
import { lentOutputs } from './lend/lent-outputs.ts';
import { lentStores } from './lend/lent-stores.ts';
import { lentUploads } from './lend/lent-uploads.ts';
import { lentValues } from './lend/lent-values.ts';
import type { Loans } from './lend/loans.ts';
import { lendCaches } from './lend-caches.ts';
import { lendOutputs } from './lend-outputs.ts';
import type { Lent } from './lent.ts';
import type { RemoteSolve } from './remote-solve.ts';

/** A build, laid out for a server. */
export interface LaidOut {
  readonly solve: RemoteSolve;
  /** To be called with what the exporters tell, when the build has succeeded. */
  readonly finish: (response: Readonly<Record<string, string>>) => Promise<void>;
}

/** Puts what a build needs of the caller where the server finds it, until `scope` is disposed. */
export function layOut(
  words: BuildWords,
  loans: Loans,
  scratch: () => string,
  scope: AsyncDisposableStack,
  progress: ProgressSink,
  signal: AbortSignal,
): LaidOut {
  const lent: Lent = { outputs: new Map(), stores: new Map(), finishing: [], scratch };
  for (const [name, root] of words.layouts)
    lent.stores.set(`oci:${name}`, { root, isWritable: false });
  lendOutputs(words.outputs, loans, lent, signal);
  const { imports, exports } = lendCaches(words, lent, progress);
  const exporters = words.outputs.map(({ type, attrs }) => ({ type, attrs: { ...attrs } }));
  return {
    solve: {
      request: {
        frontend: words.frontend,
        frontendAttrs: { ...words.options },
        frontendInputs: { ...words.inputs },
        ...(words.definition && { definition: words.definition }),
        exporters,
        // Servers that know of one output only read it here.
        ...(exporters[0] && {
          exporterDeprecated: exporters[0].type,
          exporterAttrsDeprecated: exporters[0].attrs,
        }),
        cache: { imports: imports.map(message), exports: exports.map(message) },
        entitlements: [...words.entitlements],
        ...(words.sourcePolicy && { sourcePolicy: policyMessage(words.sourcePolicy) }),
      },
      answers: answersOf(words, lent, loans, scope, signal),
      lender: { name: loans.shownContext ?? '', sharedKey: loans.sharedKey },
    },
    async finish(response) {
      for (const work of lent.finishing) await work(response);
    },
  };
}

function message({ type, attrs }: BuildWords['importCache'][number]) {
  return { type, attrs: { ...attrs } };
}

function answersOf(
  { directories, uploads }: BuildWords,
  { outputs, stores }: Lent,
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
