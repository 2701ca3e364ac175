import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { KilnError } from '../base/errors.ts';
import { attempt } from '../base/oserror.ts';
import { requireMounts } from '../snapshotter/sys/namespace.ts';
import { hostCapabilities, sandboxCapabilities } from './capabilities.ts';
import type { Cgroups } from './cgroups.ts';
import { cgroupMode, enterCgroups, suitCrun } from './enter-cgroups.ts';
import type { ProcessSpec } from './executor.ts';
import { compileSeccomp } from './filter.ts';
import type { FindProgram } from './find-program.ts';
import { HostWarnings, type WarnUser } from './host-warnings.ts';
import { hostsText, resolvText } from './netfiles.ts';
import { type Network, type NetworkKind, NetworkUnavailable } from './network/network.ts';
import { type NetworkOptions, openNetwork } from './network/open-network.ts';
import { type FoundRuntime, findRuntime, knownVulnerabilities, probeRuntime } from './probe.ts';
import { newProcessDirectory, staleDirectories } from './process-directories.ts';
import { defaultSeccomp, type SeccompProfile } from './seccomp.ts';
import { type RuntimeProgram, shieldedRuntime } from './shielded-runtime.ts';
import { inState, keepForLater } from './state-files.ts';
import { startWatchdog, type Watchdog } from './watchdog.ts';

/**
 * # What all sandboxes of one executor share
 *
 *     stateDir/                 0700, ours; /run/kiln or the like: small files, best on a tmpfs
 *       runtime/                the runtime's own state (its --root), shared by all processes
 *       seccomp-HASH            a compiled default profile
 *       PID-START-NAMESPACE-N/  of one live process; the name says whether it still is
 *         cgroups tables        control groups and firewall tables to be removed after it
 *         hosts-HASH resolv-HASH
 *         kiln-...-N/           the bundle of one sandbox; it exists before the sandbox does,
 *                               and until the sandbox is gone
 */
export interface SandboxHost {
  readonly runtime: FoundRuntime;
  readonly runtimeRoot: string;
  readonly directory: string;
  /** The warnings about this host. */
  readonly warnings: HostWarnings;
  /** A name for the next sandbox. Names are made nowhere else. */
  nextId(): string;
  /** A file that holds `text`. Sandboxes that need the same text share it. */
  sharedFile(kind: 'hosts' | 'resolv', text: string): string;
  /** The source of network namespaces for sandboxes. The first call sets it up. */
  network(): Promise<Network>;
  /**
   * Joins the control groups that sandboxes inherit. The first call does it, before the first
   * sandbox.
   */
  join(): Promise<JoinedSandboxHost>;
  /** Ends the watchdog and removes the directory. No sandbox may be running. */
  close(): Promise<void>;
}

/** A host in which sandboxes can run. */
export interface JoinedSandboxHost extends SandboxHost {
  readonly cgroups: Cgroups;
  readonly program: RuntimeProgram;
  /** The compiled default profile, in base64. Undefined where this host cannot compile it. */
  readonly seccompBpf: string | undefined;
}

export interface SandboxHostOptions {
  readonly stateDir: string;
  readonly runtime?: string | undefined;
  readonly findProgram: FindProgram;
  readonly cgroups?: 'auto' | 'none' | undefined;
  readonly networks?: readonly NetworkKind[] | undefined;
  readonly warn?: WarnUser | undefined;
  /** Returns the network of steps that cannot have their own. Called only when it is needed. */
  readonly networkFallback?: NetworkOptions['fallback'];
}

/**
 * Enters the private mount namespace, finds the runtime and starts the watchdog. An executor calls
 * it before its first sandbox, and again after a pause in which nothing was run.
 */
export function openSandboxHost(options: SandboxHostOptions): SandboxHost {
  requireMounts('a sandbox needs mounts of its own');
  requireCapabilities();
  const runtime = findRuntime(options.findProgram, options.runtime);
  if (runtime.name === 'crun') suitCrun();
  const stateDir = inState(options.stateDir, () => ownDirectory(options.stateDir));
  const runtimeRoot = `${stateDir}/runtime`;
  const directory = `${stateDir}/${newProcessDirectory()}`;
  inState(stateDir, () => {
    mkdirSync(runtimeRoot, { recursive: true, mode: 0o700 });
    mkdirSync(directory, { mode: 0o700 });
  });
  const unique = `kiln-${directory.slice(stateDir.length + 1)}`;
  // The watchdog starts before the control group is joined: it must be outside of the group to
  // remove it.
  const watchdog = startWatchdog({
    runtime: runtime.path,
    state: runtimeRoot,
    directory,
    stale: staleDirectories(stateDir),
  });
  const own: Watchdog['own'] = (kind, name) => {
    watchdog.own(kind, name);
    // Recorded for a later process, which cleans up if the watchdog dies too.
    const list = `${directory}/${kind === 'group' ? 'cgroups' : 'tables'}`;
    inState(stateDir, () => appendFileSync(list, `${name}\n`, { mode: 0o600 }));
  };
  const ownGroup = (group: string) => own('group', group);
  const enter = async () => {
    const cgroups = await enterCgroups(
      options.cgroups === 'none' ? 'none' : cgroupMode(),
      runtime.name,
      unique,
      ownGroup,
    );
    for (const group of cgroups.directories) ownGroup(group);
    return cgroups;
  };
  return makeSandboxHost({
    runtime,
    runtimeRoot,
    directory,
    unique,
    enter,
    own,
    watchdog,
    stateDir,
    options,
  });
}

interface Parts extends Pick<SandboxHost, 'runtime' | 'runtimeRoot' | 'directory'> {
  /** Joins the control groups. */
  readonly enter: () => Promise<Cgroups>;
  readonly unique: string;
  /** Has the watchdog, or a later process, remove something at the end. */
  readonly own: Watchdog['own'];
  readonly watchdog: Watchdog;
  readonly stateDir: string;
  readonly options: SandboxHostOptions;
}

function makeSandboxHost({
  unique,
  watchdog,
  stateDir,
  options,
  enter,
  own,
  ...shared
}: Parts): SandboxHost {
  const warnings = new HostWarnings();
  const { warn } = warnings;
  if (options.warn) warnings.listen(options.warn);
  warnOfRuntime(shared.runtime, stateDir, warn);
  let count = 0;
  let network: Promise<Network> | undefined;
  let joined: Promise<JoinedSandboxHost> | undefined;
  let shielded: (RuntimeProgram & Disposable) | undefined;
  const join = async (): Promise<JoinedSandboxHost> => {
    const cgroups = await enter();
    const profile = defaultSeccomp(sandboxCapabilities(cgroups.guardDevices));
    if (!profile)
      warn(
        'steps may make every system call: no seccomp filter exists for this processor',
        'steps',
      );
    const seccompBpf =
      profile && shared.runtime.name === 'crun' ? compiledSeccomp(stateDir, profile) : undefined;
    const program = (shielded = shieldedRuntime(shared.runtime));
    return { ...host, cgroups, program, seccompBpf };
  };
  const outside = async () => (await host.join()).cgroups.outside;
  const files = new Map<string, string>();
  const host: SandboxHost = {
    ...shared,
    warnings,
    nextId: () => checkId(`${unique}-${++count}`),
    sharedFile(kind, text) {
      const known = files.get(kind + text);
      if (known !== undefined) return known;
      const path = `${shared.directory}/${kind}-${digest(text)}`;
      inState(stateDir, () => writeFileSync(path, text, { mode: 0o644 }));
      files.set(kind + text, path);
      return path;
    },
    network: () =>
      (network ??= openNetwork(networkOptions(shared.directory, outside, own, options, warn))),
    join: () => (joined ??= join()),
    async close() {
      // A failure to open it has already been reported to the caller of `network`.
      await (await network?.catch(() => undefined))?.[Symbol.asyncDispose]();
      (await joined?.catch(() => undefined))?.cgroups.leave();
      shielded?.[Symbol.dispose]();
      await watchdog.dismiss();
    },
  };
  return host;
}

function networkOptions(
  directory: string,
  outside: NetworkOptions['outside'],
  own: Watchdog['own'],
  { networks: kinds, networkFallback: fallback, findProgram }: SandboxHostOptions,
  warn: WarnUser,
): NetworkOptions {
  return {
    // The random end of the directory's name.
    mark: directory.slice(-6),
    own: (table) => own('table', table),
    warn,
    outside,
    findProgram,
    kinds,
    fallback,
  };
}

/**
 * Warns in one line when the runtime has published vulnerabilities. Asking for the version costs a
 * process, so the answer is stored.
 */
function warnOfRuntime(
  runtime: FoundRuntime,
  stateDir: string,
  warn: (sentence: string) => void,
): void {
  const { dev, ino, size, mtimeMs } = statSync(runtime.path);
  const identity = JSON.stringify([runtime.path, dev, ino, size, mtimeMs]);
  const path = `${stateDir}/version-${digest(identity)}`;
  let version: string;
  try {
    version = readFileSync(path, 'utf8');
  } catch {
    const found = probeRuntime(runtime).version;
    keepForLater(path, (temporary) => writeFileSync(temporary, found, { mode: 0o600 }));
    version = found;
  }
  const known = knownVulnerabilities(runtime.name, version).flatMap(
    (sentence) => sentence.match(/CVE-\d+-\d+/g) ?? [],
  );
  if (known.length > 0)
    warn(
      `${runtime.name} ${version} has published vulnerabilities (${known.join(', ')}): ` +
        "install a newer one; 'kiln doctor' says more",
    );
}

/**
 * Checks an id. Ids become directory names and arguments (CVE-2026-33747), and all of them pass
 * through here.
 */
function checkId(id: string): string {
  if (!/^kiln-[0-9a-f-]{5,100}$/.test(id)) throw new Error(`not a sandbox id: ${id}`);
  return id;
}

/**
 * The hosts and resolv.conf files for `spec`. They are written when the first sandbox needs them.
 */
export function networkFiles(
  host: SandboxHost,
  spec: ProcessSpec,
  joined: JoinedNetwork,
): { readonly hosts: string; readonly resolvConf: string } {
  return {
    hosts: host.sharedFile('hosts', hostsText(spec)),
    resolvConf: host.sharedFile(
      'resolv',
      resolvText(joined.namespace === 'host', undefined, joined.resolver),
    ),
  };
}

function explainLease(error: unknown): never {
  if (!(error instanceof NetworkUnavailable)) throw error;
  throw new KilnError('KILN_NETWORK', `a step cannot get a network: ${error.message}`, {
    hint:
      'run fewer steps at once (--max-parallelism), or give them the network of the host: ' +
      '--network=host',
    cause: error,
  });
}

/** The network that one sandbox is put into. */
export interface JoinedNetwork {
  /** The host's, a new one without a way out, or the one at a path. */
  readonly namespace: 'host' | 'none' | { readonly path: string };
  readonly resolver?: string | undefined;
}

/** The network for `spec`, leased until `scope` ends. */
export async function joinNetwork(
  host: SandboxHost,
  spec: ProcessSpec,
  scope: DisposableStack,
): Promise<JoinedNetwork> {
  if (spec.network !== 'default') return { namespace: spec.network };
  const network = await host.network();
  const lease = await network.lease().catch(explainLease);
  scope.defer(() => lease.release(spec.security === 'insecure'));
  const namespace = network.kind === 'none' || network.kind === 'host' ? network.kind : undefined;
  return { namespace: namespace ?? { path: lease.path ?? '' }, resolver: network.resolver };
}

/**
 * The capabilities that the runtime needs to set up a sandbox. A plain container has all of them
 * unless some were dropped.
 */
const NEEDED = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_MKNOD',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
];

/** The needed capabilities that this process lacks. `kiln doctor` reports them. */
export function missingCapabilities(): readonly string[] {
  const present = new Set(hostCapabilities());
  return NEEDED.filter((name) => !present.has(name));
}

function requireCapabilities(): void {
  const missing = missingCapabilities();
  if (missing.length === 0) return;
  throw new KilnError(
    'KILN_NO_PRIVILEGE',
    `a sandbox cannot be set up without ${missing.join(' and ')}, which this process does not have`,
    {
      hint:
        'start the container or service around Kiln with ' +
        `${missing.map((name) => `--cap-add ${name}`).join(' ')}; builds ` +
        'without RUN do not need it',
    },
  );
}

/**
 * Makes the state directory when it is absent, and checks it. Another user who could write there
 * could choose what runs as root.
 */
function ownDirectory(path: string): string {
  if (!/^\/[^\s]*$/.test(path))
    throw new KilnError(
      'KILN_STATE_DIR',
      `the state directory ${path} is not an absolute path without blanks`,
    );
  attempt(
    {
      code: 'KILN_STATE_DIR',
      what: `the state directory ${path} cannot be made`,
      path,
      doing: 'write',
    },
    () => mkdirSync(path, { recursive: true, mode: 0o700 }),
  );
  const stat = lstatSync(path);
  if (!stat.isDirectory() || stat.uid !== process.geteuid?.() || (stat.mode & 0o022) !== 0) {
    throw new KilnError('KILN_STATE_DIR', `the state directory ${path} can be written by others`, {
      hint: `chmod go-w ${path}, or name another directory`,
    });
  }
  return path;
}

/**
 * The compiled profile. It is compiled once per host and profile, and then read: 30 ms against 0.1
 * ms (2-core VM, 2026-11).
 */
function compiledSeccomp(stateDir: string, profile: SeccompProfile): string | undefined {
  const path = `${stateDir}/seccomp-${digest(JSON.stringify(profile))}`;
  try {
    return readFileSync(path, 'base64');
  } catch {
    return keepForLater(path, (temporary) => compileTo(temporary, profile));
  }
}

/** Throws when the profile cannot be compiled here. The runtime then compiles it itself. */
function compileTo(path: string, profile: SeccompProfile): string {
  const fd = openSync(path, 'wx', 0o600);
  try {
    const compiled = compileSeccomp(profile, fd);
    const { size } = fstatSync(fd);
    // libseccomp does not notice that only the beginning of a program was written to a full disk.
    // More bytes than a program has can then not be written either.
    writeFileSync(fd, Buffer.alloc(LONGER_THAN_A_PROGRAM));
    ftruncateSync(fd, size);
    // A BPF program is a sequence of 8-byte instructions.
    if (!compiled || size % 8 !== 0) throw new Error('the profile was not compiled');
    return readFileSync(path, 'base64');
  } finally {
    closeSync(fd);
  }
}

const LONGER_THAN_A_PROGRAM = 1 << 16;

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 24);
}
