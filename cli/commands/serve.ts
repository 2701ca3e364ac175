import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { openBuildServices } from '../../api/build-services.ts';
import { GRANTABLE } from '../../api/control/entitlements.ts';
import { serverVersion } from '../../api/control/workers.ts';
import { IdleClock } from '../../api/grpc/idle-clock.ts';
import {
  isLocalAddress,
  type ListenAddress,
  listenAddressText,
  parseListenAddress,
} from '../../api/grpc/listen-address.ts';
import { readTlsFiles, type TlsIdentity } from '../../api/grpc/tls.ts';
import { listenForClients } from '../../api/serve.ts';
import { KilnError, messageOf } from '../../base/errors.ts';
import { attempt, writing } from '../../base/oserror.ts';
import { setLogLimits } from '../../builder/history/log-limits.ts';
import { diskOf } from '../../cache/gc/collect.ts';
import { parseDuration } from '../../cache/gc/filter.ts';
import { type Command, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { configPath } from '../config-path.ts';
import { kilnSocket } from '../daemon/default-socket.ts';
import { PROVENANCE_DIRECTORY, readProvenanceEnv } from '../daemon/provenance-env.ts';
import { readServerConfig, type ServerConfig } from '../daemon/server-config.ts';
import { declareServer, type ServerFlags, unusedFlags } from '../daemon/server-flags.ts';
import { groupId } from '../daemon/socket-group.ts';
import { traceCollector } from '../daemon/trace-collector.ts';
import { openLocalEngine } from '../engine.ts';
import { readGcPolicies } from '../gc-config.ts';
import { stderr, stdout } from '../output.ts';
import { passedSockets } from '../passed-sockets.ts';
import { VERSION } from '../version.ts';

export { declareServer as declareCommand };

/** How long a server that systemd's socket has started waits for a client, in milliseconds. */
const IDLE_MS = 10 * 60_000;

/** `kiln serve`: serves builds until a signal ends it. */
export async function run(argv: readonly string[]): Promise<number> {
  return await serveAs(argv, { socket: kilnSocket });
}

/** What differs when Kiln is called as buildkitd. */
export interface ServerDefaults {
  /** Returns the path of the socket that is listened on without `--addr`. */
  readonly socket: () => string;
}

export async function serveAs(argv: readonly string[], defaults: ServerDefaults): Promise<number> {
  const command = declareServer();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<ServerFlags>();
  if (flags.version) return printVersion();
  if (flags.config !== undefined) process.env['KILN_CONFIG'] = flags.config;
  const config = await readServerConfig(configPath(process.env));
  if (config.root !== undefined && flags.root === undefined) process.env['KILN_ROOT'] = config.root;
  warnUnused(command, config);
  const addresses = chosenAddresses(flags, config, defaults);
  const tls = tlsOf(flags, config);
  refuseOpen(addresses, flags, tls);
  const group = flags.group ?? config.group;
  const connections = { tls, group: group === undefined ? undefined : groupId(group) };
  const entitlements = entitlementsOf(flags, config);
  const docker = (flags.docker ?? []).flatMap((text) => parseListenAddress(text, [], '--docker'));
  refuseOpen(docker, flags, tls, '--docker');
  const passTo = engineSocket(flags);
  const measured = (flags.metrics ?? []).flatMap((text) =>
    parseListenAddress(text, [], '--metrics'),
  );
  for (const address of [...addresses, ...docker, ...measured])
    if (address.kind === 'unix') makeDirectory(dirname(address.path));
  const traces = traceCollector(process.env);
  const provenanceEnv = readProvenanceEnv(config.provenanceEnvDir ?? PROVENANCE_DIRECTORY);
  const metrics = measured.length > 0 ? await import('../daemon/metrics.ts') : undefined;
  const observer = metrics?.openMetrics(() => engine);
  await using engine = openLocalEngine({ provenanceEnv, observer });
  setLogLimits(engine.store.logs, config.history, configPath(process.env));
  using cancel = cancelOnSignals();
  const ended = Promise.withResolvers<void>();
  using idle = idleClock(flags, addresses, ended.resolve);
  const tell = (error: unknown) =>
    void stderr.write(`ERROR: ${error instanceof Error ? error.stack : messageOf(error)}\n`);
  const accepting = { ...connections, opened: idle?.opened, closed: idle?.closed };
  await using scope = new AsyncDisposableStack();
  const services = openBuildServices({
    engine,
    version: VERSION,
    entitlements,
    traces,
    worker: {
      policies: await readGcPolicies(configPath(process.env), diskOf(engine.store.root)),
      labels: config.labels,
      allowsDevices: entitlements.includes('device'),
    },
    tell,
  });
  scope.use(await listenForClients(services, addresses, accepting));
  if (docker.length > 0) {
    const { serveDockerApi } = await import('../../docker/serve.ts');
    const options = { services, version: VERSION, addresses: docker, passTo, tell };
    scope.use(await serveDockerApi({ ...options, connections: accepting }));
  }
  if (metrics && observer)
    for (const address of measured)
      scope.use(await metrics.serveMetrics(observer, address, connections.group));
  scope.use(services);
  for (const address of [...addresses, ...docker, ...measured])
    stderr.write(`listening on ${listenAddressText(address)}\n`);
  cancel.signal.addEventListener('abort', () => ended.resolve(), { once: true });
  if (!cancel.signal.aborted) await ended.promise;
  return 0;
}

/** Prints the line of which buildx reads the third word. */
function printVersion(): number {
  const { package: name, version, revision } = serverVersion(VERSION);
  stdout.write(`buildkitd ${name} ${version} ${revision}\n`);
  return 0;
}

function warnUnused(command: Command, { unread }: ServerConfig): void {
  const flags = unusedFlags(command);
  if (flags.length > 0)
    stderr.write(`WARNING: Kiln accepts and ignores these flags: ${flags.join(', ')}\n`);
  if (unread.length > 0)
    stderr.write(`WARNING: Kiln ignores these keys of the configuration: ${unread.join(', ')}\n`);
}

function chosenAddresses(
  flags: ServerFlags,
  config: ServerConfig,
  { socket }: ServerDefaults,
): readonly ListenAddress[] {
  const passed = passedSockets(process.env, process.pid);
  // Programs that Kiln starts must not take the sockets for theirs.
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete process.env[name];
  const given = flags.addr ?? (config.addresses.length > 0 ? config.addresses : undefined);
  const texts = given ?? [passed.length > 0 ? 'fd://' : `unix://${socket()}`];
  return texts.flatMap((text) => parseListenAddress(text, passed));
}

function tlsOf(flags: ServerFlags, config: ServerConfig): TlsIdentity | undefined {
  const cert = flags.tlscert ?? config.tlsCert;
  const key = flags.tlskey ?? config.tlsKey;
  const ca = flags.tlscacert ?? config.tlsCa;
  if (cert === undefined && key === undefined && ca === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw new KilnError('KILN_USAGE', 'TLS needs a certificate and its key', {
      place: { kind: 'flag', flag: cert === undefined ? '--tlscert' : '--tlskey' },
      hint: 'give both --tlscert and --tlskey',
      exitCode: 2,
    });
  return readTlsFiles({ cert, key, ca });
}

/** Whoever reaches the server can run programs as it, so other hosts must prove who they are. */
function refuseOpen(
  addresses: readonly ListenAddress[],
  { insecure = false }: ServerFlags,
  tls: TlsIdentity | undefined,
  flag = '--addr',
): void {
  const open = addresses.find((address) => !isLocalAddress(address));
  if (!open || insecure || tls?.ca !== undefined) return;
  const why = tls ? 'without a CA for the certificates of clients' : 'without TLS';
  throw new KilnError(
    'KILN_ADDRESS_INVALID',
    `every host that reaches ${listenAddressText(open)} could run programs here: it is ${why}`,
    {
      place: { kind: 'flag', flag },
      hint: 'give --tlscert, --tlskey and --tlscacert; --insecure serves everybody',
      exitCode: 2,
    },
  );
}

function entitlementsOf(flags: ServerFlags, config: ServerConfig): readonly string[] {
  const given = flags.allowInsecureEntitlement ?? config.entitlements;
  const names = given.flatMap((text) => text.split(','));
  const wrong = names.find((name) => !GRANTABLE.some((known) => known === name));
  if (wrong === undefined) return names;
  throw new KilnError('KILN_FLAG_VALUE', `${JSON.stringify(wrong)} is not an entitlement`, {
    place: { kind: 'flag', flag: '--allow-insecure-entitlement' },
    hint: `use ${GRANTABLE.join(', ')}`,
    exitCode: 2,
  });
}

/** The path of the socket that `--pass-to` names. Throws KILN_ADDRESS_INVALID. */
function engineSocket({ passTo, docker }: ServerFlags): string | undefined {
  if (passTo === undefined) return undefined;
  const [address] = parseListenAddress(passTo, [], '--pass-to');
  if (address?.kind === 'unix' && docker) return address.path;
  throw new KilnError(
    'KILN_ADDRESS_INVALID',
    docker
      ? `${passTo} is not the address of a socket`
      : '--pass-to works only together with --docker',
    {
      place: { kind: 'flag', flag: '--pass-to' },
      hint: docker ? 'write unix://PATH' : 'give --docker unix:///run/kiln/docker.sock, too',
      exitCode: 2,
    },
  );
}

function makeDirectory(path: string): void {
  attempt(writing('the directory of the socket', path), () => mkdirSync(path, { recursive: true }));
}

/** A server that systemd can start again ends by itself when nobody needs it. */
function idleClock(
  { idleTimeout }: ServerFlags,
  addresses: readonly ListenAddress[],
  ended: () => void,
): IdleClock | undefined {
  const isStarted = addresses.every(({ kind }) => kind === 'fd');
  const limit =
    idleTimeout === undefined
      ? isStarted
        ? IDLE_MS
        : 0
      : parseDuration(idleTimeout, '--idle-timeout');
  return limit > 0 ? new IdleClock(limit, ended) : undefined;
}
