import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { messageOf } from '../../base/errors.ts';
import { normalisePlatform, type Platform } from '../../base/platform.ts';
import type { Engine } from '../../builder/engine.ts';
import type { PrunePolicy } from '../../cache/gc/policy.ts';
import { listDevices } from '../../executor/cdi/cdi.ts';
import type { CdiDevice } from '../../executor/cdi/load-devices.ts';
import { runnableArchitectures } from '../../executor/emulation/found-emulators.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { type GCPolicySchema, type WorkerRecord, WorkerRecordSchema } from '../proto/worker.gen.ts';

/** The release of BuildKit whose services these are: clients decide by it what they send. */
const BUILDKIT = 'v0.25.0';

/** What Kiln says it is, where clients of BuildKit ask for the version. */
export interface ServerVersion {
  readonly package: string;
  readonly version: string;
  readonly revision: string;
}

export function serverVersion(version: string): ServerVersion {
  return { package: 'github.com/moby/buildkit', version: BUILDKIT, revision: `kiln-${version}` };
}

/** What the operator of a server says about its worker. */
export interface WorkerSettings {
  /** The policies of automatic collection. Undefined when there is none. */
  readonly policies?: readonly PrunePolicy[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** True when steps get devices without being asked for permission. */
  readonly allowsDevices?: boolean | undefined;
}

/** This host, the one worker there is. Its id belongs to the store. */
export function workersOf(
  { store }: Pick<Engine, 'store'>,
  version: ServerVersion,
): readonly WorkerRecord[] {
  const id = createHash('sha256').update(`${hostname()}\0${store.root}`).digest('hex');
  return [
    create(WorkerRecordSchema, {
      id: id.slice(0, 25),
      labels: {
        [`${LABEL}.executor`]: 'oci',
        [`${LABEL}.hostname`]: hostname(),
        [`${LABEL}.network`]: 'host',
        [`${LABEL}.oci.process-mode`]: 'sandbox',
        [`${LABEL}.selinux.enabled`]: 'false',
        [`${LABEL}.snapshotter`]: 'overlayfs',
      },
      platforms: platforms().map(platformMessage),
      buildkitVersion: version,
    }),
  ];
}

let found: readonly Platform[] | undefined;

/** The platforms whose steps run here, this host's first. They are looked up once. */
function platforms(): readonly Platform[] {
  const host = hostPlatform();
  const others = () =>
    runnableArchitectures()
      .filter((architecture) => architecture !== host.architecture)
      .map((architecture) => normalisePlatform({ os: 'linux', architecture }));
  return (found ??= [host, ...others()]);
}

const LABEL = 'org.mobyproject.buildkit.worker';

/** The same worker with all that clients show of it. */
export async function describedWorkers(
  engine: Pick<Engine, 'store'>,
  version: ServerVersion,
  { policies = [], labels = {}, allowsDevices = false }: WorkerSettings,
): Promise<readonly WorkerRecord[]> {
  const devices = await knownDevices(engine);
  return workersOf(engine, version).map(({ id, labels: own, platforms }) =>
    create(WorkerRecordSchema, {
      id,
      buildkitVersion: version,
      labels: { ...own, ...labels },
      platforms,
      gcPolicy: policies.map(policyMessage),
      cdiDevices: devices.map(({ name, annotations }) => ({
        name,
        annotations: { ...annotations },
        autoAllow: allowsDevices,
      })),
    }),
  );
}

function platformMessage({ os, architecture, variant = '' }: Platform) {
  return { os, architecture, variant };
}

function policyMessage(policy: PrunePolicy): MessageInitShape<typeof GCPolicySchema> {
  const { all, filters = [], keepMs, reserved, maxUsed, minFree } = policy;
  return {
    all,
    filters: [...filters],
    keepDuration: BigInt(Math.floor(keepMs)) * NS_PER_MS,
    reservedSpace: BigInt(Math.floor(reserved)),
    maxUsedSpace: BigInt(Math.floor(maxUsed)),
    minFreeSpace: BigInt(Math.floor(minFree)),
  };
}

const NS_PER_MS = 1_000_000n;

/** A file of devices that cannot be read is an error of the steps that want one, not of a list. */
async function knownDevices({ store }: Pick<Engine, 'store'>): Promise<readonly CdiDevice[]> {
  try {
    return await listDevices();
  } catch (error) {
    store.warn(messageOf(error));
    return [];
  }
}
