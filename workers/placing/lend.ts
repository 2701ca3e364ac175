import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import type { InnerMethods } from '../../api/grpc/inner-server.ts';
import { socketAgent } from '../../executor/ssh/socket-agent.ts';
import { type LentTree, lentDirectories } from '../../remote/lend/lent-directories.ts';
import { lentLogins } from '../../remote/lend/lent-logins.ts';
import { type LentStore, lentStores } from '../../remote/lend/lent-stores.ts';
import { lentValues } from '../../remote/lend/lent-values.ts';
import type { LlbEdge } from '../../solver/llb/graph.ts';
import { MOUNT_TYPE } from '../../solver/llb/mount.ts';
import { localName } from '../../solver/llb/sources.ts';
import { topological } from '../../solver/llb/walk.ts';
import { wantedFiles } from '../../solver/ops/source-local.ts';
import type { StepSession } from '../../solver/step-session.ts';

/** What a graph may ask for of the caller of the build, and no more. */
export interface GraphNeeds {
  readonly directories: ReadonlyMap<string, LentTree>;
  readonly secrets: ReadonlySet<string>;
  readonly agents: ReadonlySet<string>;
  /** The ids of cache mounts. */
  readonly caches: ReadonlySet<string>;
  readonly entitlements: ReadonlySet<string>;
}

const DEFAULT_AGENT = 'default';

/** Finds what a graph needs of the session of its build. */
export async function graphNeeds(edge: LlbEdge, session: StepSession): Promise<GraphNeeds> {
  const directories = new Map<string, LentTree>();
  const { secrets, agents } = await secretNeeds(edge, session);
  const caches = new Set<string>();
  const entitlements = new Set<string>();
  for (const { op } of topological(edge)) {
    if (op.kind === 'exec') {
      if (op.exec.network === NETWORK_HOST) entitlements.add('network.host');
      if (op.exec.security === INSECURE) entitlements.add('security.insecure');
      for (const { mountType, cache, dest } of op.exec.mounts)
        if (mountType === MOUNT_TYPE.cache) caches.add(cache?.id ?? dest);
    }
    const name = localName(op);
    if (op.kind !== 'source' || name === undefined) continue;
    const found = await session.directory(name, wantedFiles(op.source.attrs));
    if (found) directories.set(name, { path: found.root });
  }
  return { directories, secrets, agents, caches, entitlements };
}

const NETWORK_HOST = 1;
const INSECURE = 1;

/**
 * The ids of the secrets and ssh agents that steps and sources of a graph read. Every commit as a
 * source names secrets for its host, which count when the caller lends them.
 */
export async function secretNeeds(
  edge: LlbEdge,
  session: StepSession,
): Promise<Pick<GraphNeeds, 'secrets' | 'agents'>> {
  const secrets = new Set<string>();
  const agents = new Set<string>();
  for (const { op } of topological(edge)) {
    if (op.kind === 'source') {
      const { attrs, identifier } = op.source;
      for (const [name, value] of Object.entries(attrs))
        if (/secret/.test(name) && (await session.secret(value))) secrets.add(value);
      if (identifier.startsWith('git://') && attrs['git.mountsshsock'] !== undefined)
        agents.add(attrs['git.mountsshsock'] || DEFAULT_AGENT);
    }
    if (op.kind !== 'exec') continue;
    for (const { id } of op.exec.secretenv ?? []) secrets.add(id);
    for (const mount of op.exec.mounts) {
      if (mount.secret) secrets.add(mount.secret.id);
      if (mount.ssh) agents.add(mount.ssh.id || DEFAULT_AGENT);
    }
  }
  return { secrets, agents };
}

/** Answers what a worker asks for while it solves a graph, until `scope` is disposed. */
export function lendToWorker(
  needs: GraphNeeds,
  session: StepSession,
  stores: ReadonlyMap<string, LentStore>,
  scope: AsyncDisposableStack,
): InnerMethods {
  const agent = async (asked: string) => {
    if (!needs.agents.has(asked)) return undefined;
    const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, mode: 0o600 };
    const forwarded = await session.sshSocket(asked, own);
    return forwarded && socketAgent(scope.use(forwarded).socket);
  };
  return new Map([
    ...lentValues({
      secret: async (id) => {
        const bytes = needs.secrets.has(id) ? await session.secret(id) : undefined;
        return bytes && Buffer.from(bytes);
      },
      agent,
    }),
    ...lentLogins({ registry: async () => session.registry }, scope),
    ...(needs.directories.size > 0 ? [lentDirectories(needs.directories)] : []),
    ...lentStores(stores),
  ]);
}

/** The same for all builds with these directories, so that a worker finds the files it has. */
export function sharedKeyFor({ directories }: GraphNeeds): string {
  const parts = [hostname(), ...directories.values().map(({ path }) => path)];
  return createHash('sha256').update(parts.join('\0')).digest('hex');
}
