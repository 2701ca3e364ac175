import { availableParallelism, hostname, release, totalmem } from 'node:os';
import { hostPlatform } from '../../registry/platforms.ts';
import type { DockerHost } from '../docker-host.ts';
import { json } from '../http/answers.ts';
import type { Handler } from '../http/docker-request.ts';
import { API_VERSION, MIN_API_VERSION } from '../http/router.ts';

/**
 * The release of Docker's engine whose API this is. Clients compare it, so it comes first; what
 * stands behind the plus is Kiln's own version.
 */
const ENGINE = '28.5.2';

/** `/_ping`: a client reads in its headers which API and which builder it may use. */
export const ping: Handler = async (_request, response) => {
  response.setHeader('Builder-Version', '2');
  response.setHeader('Swarm', 'inactive');
  response.setHeader('Cache-Control', 'no-cache, no-store, must-revalidate');
  response.setHeader('Pragma', 'no-cache');
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'content-length': 2 });
  response.end(response.req.method === 'HEAD' ? undefined : 'OK');
};

/** `/version` */
export function version(host: DockerHost): Handler {
  return async (_request, response) => {
    const common = {
      Version: `${ENGINE}+kiln${host.version}`,
      ApiVersion: API_VERSION,
      MinAPIVersion: MIN_API_VERSION,
      GitCommit: `kiln-${host.version}`,
      GoVersion: 'none',
      Os: 'linux',
      Arch: hostPlatform().architecture,
      KernelVersion: release(),
      BuildTime: '',
    };
    const { Version, ...Details } = common;
    json(response, {
      Platform: { Name: `Kiln ${host.version}` },
      Components: [{ Name: 'Engine', Version, Details: { ...Details, Experimental: 'false' } }],
      ...common,
    });
  };
}

/** The names of architectures as uname(1) has them, which `docker info` shows. */
const MACHINES: Readonly<Record<string, string>> = { amd64: 'x86_64', arm64: 'aarch64' };

/**
 * `/info`. `driver-type` says that the store keeps images with all their platforms and
 * attestations, so that buildx offers all of its outputs and caches.
 */
export function info({ engine, version: own }: DockerHost): Handler {
  return async (_request, response) => {
    const { architecture } = hostPlatform();
    json(response, {
      ID: `kiln-${hostname()}`,
      Containers: 0,
      ContainersRunning: 0,
      ContainersPaused: 0,
      ContainersStopped: 0,
      Images: engine.images.list().length,
      Driver: 'overlayfs',
      DriverStatus: [['driver-type', 'io.containerd.snapshotter.v1']],
      Plugins: { Volume: [], Network: [], Authorization: null, Log: [] },
      MemoryLimit: true,
      SwapLimit: true,
      CpuCfsPeriod: true,
      CpuCfsQuota: true,
      CPUShares: true,
      CPUSet: true,
      PidsLimit: true,
      IPv4Forwarding: true,
      Debug: false,
      SystemTime: new Date().toISOString(),
      LoggingDriver: 'none',
      CgroupDriver: 'cgroupfs',
      KernelVersion: release(),
      OperatingSystem: `Kiln ${own}`,
      OSVersion: '',
      OSType: 'linux',
      Architecture: MACHINES[architecture] ?? architecture,
      IndexServerAddress: 'https://index.docker.io/v1/',
      RegistryConfig: {
        InsecureRegistryCIDRs: ['127.0.0.0/8', '::1/128'],
        IndexConfigs: {},
        Mirrors: [],
      },
      NCPU: availableParallelism(),
      MemTotal: totalmem(),
      GenericResources: null,
      DockerRootDir: engine.store.root,
      HttpProxy: '',
      HttpsProxy: '',
      NoProxy: '',
      Name: hostname(),
      Labels: [],
      ExperimentalBuild: false,
      ServerVersion: `${ENGINE}+kiln${own}`,
      Runtimes: {},
      DefaultRuntime: '',
      Swarm: { LocalNodeState: 'inactive', ControlAvailable: false },
      LiveRestoreEnabled: false,
      Isolation: '',
      InitBinary: '',
      SecurityOptions: ['name=seccomp,profile=builtin'],
      Warnings: [],
    });
  };
}
