import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { normalisePlatform, type Platform } from '../../base/platform.ts';
import type { Engine } from '../../builder/engine.ts';
import { runnableArchitectures } from '../../executor/emulation/found-emulators.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import type { WorkerRecordSchema } from '../proto/worker.gen.ts';

export type WorkerRecord = MessageInitShape<typeof WorkerRecordSchema>;

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

/** This host, the one worker there is. Its id belongs to the store. */
export function workersOf(
  { store }: Pick<Engine, 'store'>,
  version: ServerVersion,
): readonly WorkerRecord[] {
  const id = createHash('sha256').update(`${hostname()}\0${store.root}`).digest('hex');
  return [
    {
      id: id.slice(0, 25),
      labels: {
        'org.mobyproject.buildkit.worker.executor': 'oci',
        'org.mobyproject.buildkit.worker.hostname': hostname(),
        'org.mobyproject.buildkit.worker.network': 'host',
        'org.mobyproject.buildkit.worker.snapshotter': 'overlayfs',
      },
      platforms: platforms().map(({ os, architecture, variant = '' }) => ({
        os,
        architecture,
        variant,
      })),
      buildkitVersion: version,
    },
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
