import { join } from 'node:path';
import { hexOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { trusting } from '../../registry/trusted-hosts.ts';
import type { DirectoryResult } from '../../solver/result.ts';
import {
  type StepSession,
  type StepSessionOptions,
  stepSession,
  type WantedFiles,
} from '../../solver/step-session.ts';
import { type BuildContext, registryOf } from '../build-context.ts';
import { BLOB_FILE, WHOLE } from '../session.ts';
import { secretMarks } from './secret-memory.ts';

/** Finds a directory for the graph of a frontend. It holds at least the `wanted` files. */
export type LocalDirectory = (wanted: WantedFiles) => Promise<DirectoryResult>;

/**
 * The key of a directory beside its name: what the graph of a frontend says of it. Two frontends of
 * one build may mean different directories by one name, or the same one with different files
 * ignored.
 */
export function localKey(name: string, hint: string, exclude: readonly string[]): string {
  return JSON.stringify([name, hint, exclude]);
}

/** What frontends find for the graphs of a build, by the names in the graphs. */
export interface FoundPlaces {
  /** The directories behind `local://NAME`, by NAME and also by `localKey`. */
  readonly locals: ReadonlyMap<string, LocalDirectory>;
  /** Paths of OCI layouts. */
  readonly layouts: ReadonlyMap<string, string>;
  /** Hosts of registries that may use plain http or any certificate. */
  readonly trusted: ReadonlySet<string>;
}

/**
 * Makes the session of the steps from the session and the request of their build. It gives them
 * secrets, ssh agents, logins and directories, says what they are allowed, and hands each failed
 * step to the caller of the build.
 */
export async function lendToSteps(
  context: BuildContext,
  { locals, layouts, trusted }: FoundPlaces,
  told: Pick<StepSessionOptions, 'onEmulated' | 'onLayer'>,
): Promise<StepSession> {
  const { request, engine, session, progress, buildId } = context;
  const { secretsInKeys } = request;
  const { onStepFailed, keepFailed, stepVariables } = session;
  return stepSession({
    ...told,
    secret: (id) => session.secret(id),
    ...(secretsInKeys.length > 0 && {
      secretMark: secretMarks(session, secretsInKeys, engine.store),
    }),
    sshSocket: session.ssh.forStep,
    gitAgent: session.ssh.forGit,
    async directory(name, wanted) {
      const isOurs = session.id === undefined || ['', session.id].includes(wanted.session);
      const local =
        isOurs && !wanted.exceptMetadata
          ? (locals.get(localKey(name, wanted.purpose, wanted.exclude)) ?? locals.get(name))
          : undefined;
      if (local) return await local(wanted);
      if (wanted.exceptMetadata && session.id === undefined) throw notTold(name);
      // A graph that no frontend made names directories of the caller as they are.
      const { path, remembered, version, received, looks } = await session.directory(name, wanted);
      const memory = remembered && { memory: path, version, ...(looks && { looks }) };
      return { kind: 'directory', root: path, received, ...memory };
    },
    ...(session.id !== undefined && {
      upload: async (url: string, max: number) => await session.input(max, url),
    }),
    async layout(name, digest) {
      const found = layouts.get(name);
      if (found !== undefined || digest === undefined || session.id === undefined) return found;
      // A graph that no frontend made names layouts of the caller as they are.
      return (await session.directory(`oci:${name}@${digest}`, WHOLE)).path;
    },
    async layoutBlob(name, digest) {
      const found = layouts.get(name);
      if (found !== undefined) return join(found, 'blobs', 'sha256', hexOf(digest));
      if (session.id === undefined) return undefined;
      return join((await session.directory(`oci-blob:${name}@${digest}`, WHOLE)).path, BLOB_FILE);
    },
    registry: trusting(await registryOf(context), trusted),
    lookUps: request.lookUps,
    // Asking for the host's network for all steps includes the entitlement.
    allowed: new Set(
      request.network === 'host' ? [...request.allow, 'network.host'] : request.allow,
    ),
    limits: request.limits,
    devices: request.devices.map((name) => ({ name, optional: false })),
    warn: (short) => progress({ kind: 'warning', short, detail: [] }),
    ...(stepVariables &&
      buildId !== undefined && { variables: (vertex) => stepVariables(vertex, buildId) }),
    ...(keepFailed && { keepFailed }),
    ...(onStepFailed && {
      onStepFailed: (step, signal) => onStepFailed(step, engine.executor(), signal),
    }),
  });
}

/** A directory of this host is read in its place: nobody tells of its files. */
function notTold(name: string): KilnError {
  return new KilnError(
    'KILN_SOURCE_UNSUPPORTED',
    `the graph wants the directory ${JSON.stringify(name)} as metadata, which only clients tell`,
    { hint: 'send the build to kiln serve' },
  );
}
