import type { KeptResult } from '../../builder/history/kept-result.ts';
import { PREDICATE_TYPE } from '../../exporter/attest/statement.ts';
import type { BuildView, StepView } from '../../history/build-view.ts';

/** A document that is kept with a build, such as its provenance. */
export interface Attachment {
  readonly Digest: string;
  readonly Platform?: string;
  readonly Type: string;
}

const STATUS: Readonly<Record<BuildView['state'], string>> = {
  running: 'running',
  completed: 'completed',
  failed: 'failed',
  cancelled: 'canceled',
  lost: 'lost',
};

/** The documents of a build, the images last. `end` is the last line of its record. */
export function attachmentsOf(end: Readonly<Record<string, unknown>>): readonly Attachment[] {
  const { images, attestations } = (end['result'] ?? {}) as Partial<KeptResult>;
  const told = (attestations ?? []).map(({ platform, descriptor }) => ({
    Digest: descriptor.digest,
    ...(platform !== undefined && { Platform: platform }),
    Type: descriptor.annotations?.[PREDICATE_TYPE] ?? descriptor.mediaType,
  }));
  const made = Object.values(images ?? {}).map(({ digest, mediaType }) => ({
    Digest: digest,
    Type: mediaType,
  }));
  return [...told, ...made];
}

/** What `--format` shows of a build: the fields of buildx, and the steps. */
export function inspectDocument(view: BuildView, attachments: readonly Attachment[], now: number) {
  const { request, git, counts, started, ended, error } = view;
  return {
    Name: view.name,
    Ref: view.ref,
    ...(request.context !== undefined && { Context: request.context }),
    Dockerfile: request.dockerfile ?? view.sources[0]?.name ?? 'Dockerfile',
    ...(git?.remote !== undefined && { VCSRepository: git.remote }),
    ...(git?.commit !== undefined && {
      VCSRevision: `${git.commit}${git.isDirty ? '-dirty' : ''}`,
    }),
    ...(git?.branch !== undefined && { VCSBranch: git.branch }),
    ...(request.target !== undefined && { Target: request.target }),
    ...(request.platforms.length > 0 && { Platform: request.platforms }),
    ...listed('NamedContexts', pairs(request.namedContexts)),
    StartedAt: new Date(started).toISOString(),
    ...(ended !== undefined && { CompletedAt: new Date(ended).toISOString() }),
    // Nanoseconds, as Go has it.
    Duration: Math.round(((ended ?? now) - started) * 1e6),
    Status: STATUS[view.state],
    ...(view.damage !== undefined && { Damage: view.damage }),
    ...(error && {
      Error: {
        Message: error.text,
        ...(error.code !== undefined && { Code: error.code }),
        ...(error.step !== undefined && { Name: view.steps[error.step]?.name }),
        ...(error.hint !== undefined && { Hint: error.hint }),
      },
    }),
    NumCompletedSteps: counts.completed,
    NumTotalSteps: counts.steps,
    NumCachedSteps: counts.cached,
    NumWarnings: counts.warnings,
    ...listed('BuildArgs', pairs(request.buildArgs)),
    ...listed('Labels', pairs(request.labels)),
    ...listed('Secrets', request.secrets),
    ...listed('SSH', request.ssh),
    ...listed('CacheFrom', request.cacheFrom),
    ...listed('CacheTo', request.cacheTo),
    ...listed(
      'Materials',
      view.materials.map(({ uri, digest }) => ({ URI: uri, ...(digest && { Digests: [digest] }) })),
    ),
    ...listed('Outputs', view.outputs),
    ...listed('Attachments', attachments),
    Steps: view.steps.map((step, index) => stepDocument(step, view.criticalPath.includes(index))),
  };
}

export type InspectDocument = ReturnType<typeof inspectDocument>;

function stepDocument(step: StepView, isCritical: boolean) {
  const { name, state, started, ended, miss, worker, wouldSave, cpu, peakMemory } = step;
  const { phases, log, error } = step;
  return {
    Name: name,
    State: state,
    ...(started !== undefined && { StartedAt: new Date(started).toISOString() }),
    ...(ended !== undefined && { CompletedAt: new Date(ended).toISOString() }),
    IsCritical: isCritical,
    WouldSave: wouldSave,
    ...(miss !== undefined && { Miss: miss }),
    ...(worker && { Worker: worker.name, WorkerReason: worker.reason }),
    LogLines: log.lines,
    ...(cpu !== undefined && { CPU: cpu }),
    ...(peakMemory !== undefined && { PeakMemory: peakMemory }),
    Phases: phases.map(({ kind, from, to }) => ({
      Kind: kind,
      From: new Date(from).toISOString(),
      ...(to !== undefined && { To: new Date(to).toISOString() }),
    })),
    ...(error !== undefined && { Error: error }),
  };
}

function pairs(values: Readonly<Record<string, string>>) {
  return Object.entries(values).map(([Name, Value]) => ({ Name, Value }));
}

function listed<Name extends string, Item>(
  name: Name,
  items: readonly Item[],
): { readonly [key in Name]?: readonly Item[] } {
  return (items.length > 0 ? { [name]: items } : {}) as { [key in Name]?: readonly Item[] };
}
