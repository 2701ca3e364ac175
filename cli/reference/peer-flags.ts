import { readFileSync } from 'node:fs';
import { REFUSED_FLAGS } from '../flags/podman-refused.ts';

/**
 * What `kiln build` makes of each flag of other builders. The test of the flags runs each row
 * through the parser, and the page of the reference is made from the same rows.
 */
export type Verdict =
  /** The flag means the same. `changes` are the fields of the options that it changes. */
  | { readonly kind: 'same'; readonly value?: string; readonly changes: readonly string[] }
  /** The same, or more than that: `why` says what is better. */
  | {
      readonly kind: 'better';
      readonly why: string;
      readonly value?: string;
      readonly changes: readonly string[];
    }
  /** It changes nothing, because Kiln does what it says in any case. */
  | { readonly kind: 'already'; readonly value?: string }
  /** It has no effect, and a warning says so. */
  | { readonly kind: 'told'; readonly why: string; readonly value?: string }
  /** It is an error with a code and a next step. */
  | { readonly kind: 'refused'; readonly value?: string };

const same = (value: string | undefined, ...changes: string[]): Verdict => ({
  kind: 'same',
  ...(value !== undefined && { value }),
  changes,
});
const better = (why: string, value: string | undefined, ...changes: string[]): Verdict => ({
  kind: 'better',
  why,
  ...(value !== undefined && { value }),
  changes,
});
const already = (value?: string): Verdict => ({
  kind: 'already',
  ...(value !== undefined && { value }),
});
const told = (why: string, value?: string): Verdict => ({
  kind: 'told',
  why,
  ...(value !== undefined && { value }),
});

/** The flags of docker, which mean the same in buildah, and those that only buildah has. */
export const PEER_FLAGS: Readonly<Record<string, Verdict>> = {
  '--add-host': better('host-gateway is known without a daemon', 'db:10.0.0.5', 'extraHosts'),
  '--allow': same('network.host', 'allow'),
  '--annotation': same('a=b', 'outputs'),
  '--attest': same('type=sbom', 'attest'),
  '--build-arg': better('a name that no ARG takes is told', 'A=b', 'buildArgs'),
  '--build-context': better(
    'a name that is not used is told',
    'n=lib',
    'namedContexts',
    'lentPaths',
  ),
  '--builder': better(
    'its value is the address of a server',
    'unix:///run/x.sock',
    'builder',
    'outputs',
  ),
  '--cache-from': same('user/app:cache', 'cacheFrom'),
  '--cache-to': better('a failed build keeps its steps, too', 'user/app:cache', 'cacheTo'),
  '--call': better('an outline lists cache mounts', 'outline', 'call'),
  '--cgroup-parent': same('kiln/x', 'cgroupParent'),
  '--check': better('there are fourteen checks more', undefined, 'call'),
  '--compress': told('the context is not sent to a daemon'),
  '--cpu-period': same('50000', 'limits'),
  '--cpu-quota': same('50000', 'limits'),
  '--cpu-shares': same('512', 'limits'),
  '--cpuset-cpus': same('0-1', 'limits'),
  '--cpuset-mems': same('0', 'limits'),
  '--debug': told('errors contain all details'),
  '--disable-content-trust': already(),
  '--file': better('Containerfile is found, too', 'F', 'dockerfile'),
  '--force-rm': already(),
  '--iidfile': same('id', 'iidFile'),
  '--isolation': told('every step runs in a sandbox', 'default'),
  '--label': same('a=b', 'labels'),
  '--load': better('the result is in the local store, too', undefined, 'outputs'),
  '--memory': same('64m', 'limits'),
  '--memory-swap': same('64m', 'limits'),
  '--metadata-file': same('m.json', 'metadataFile'),
  '--network': same('none', 'network'),
  '--no-cache': same(undefined, 'noCache'),
  '--no-cache-filter': better('an unknown stage is told', 'a,b', 'noCache'),
  '--output': same('type=local,dest=out', 'outputs'),
  '--platform': same('linux/arm64', 'platforms'),
  '--progress': same('plain', 'progress'),
  '--provenance': better('it is written as SLSA v1', 'mode=max', 'attest'),
  '--pull': better("podman's words are taken, too", undefined, 'pull'),
  '--push': same(undefined, 'outputs'),
  '--quiet': same(undefined, 'quiet', 'progress'),
  '--policy': same('disabled=true', 'policyFile'),
  '--resource': better('it is checked before the build', 'memory=64m', 'limits'),
  '--rm': already(),
  '--sbom': better('no scanner image is needed', 'true', 'attest'),
  '--secret': better('standard input and pipes are taken, too', 'id=s,src=file', 'secrets'),
  '--security-opt': told(
    'RUN --security=insecure and --allow say it for a step',
    'seccomp=unconfined',
  ),
  '--shm-size': same('64m', 'shmSize'),
  '--squash': better('it has an effect, which BuildKit does not give it', undefined, 'squash'),
  '--ssh': same('a=file', 'ssh'),
  '--tag': better('a name that is not used is told', 'app', 'tags', 'outputs'),
  '--target': same('t', 'target'),
  '--ulimit': same('nofile=10:20', 'ulimits'),

  // Of buildah and podman only.
  '--arch': same('arm64', 'platforms'),
  '--authfile': same('file', 'authFile'),
  '--build-arg-file': same('file', 'buildArgs'),
  '--cgroupns': already('private'),
  '--created-annotation': already('false'),
  '--device': same('vendor.com/class=name', 'devices'),
  '--disable-compression': already(),
  '--format': same('docker', 'outputs'),
  '--http-proxy': better('the image does not tell the proxies', undefined, 'proxies'),
  '--identity-label': already('false'),
  '--ignorefile': same('file', 'ignoreFile'),
  '--inherit-annotations': already('false'),
  '--inherit-labels': already('true'),
  '--ipc': already('private'),
  '--jobs': better('steps of one stage run at once, too', '3', 'parallelism'),
  '--layers': better('steps are cached in any case', 'false', 'squash'),
  '--os': same('linux', 'platforms'),
  '--pid': already('private'),
  '--retry': told('registries are asked again in any case', '2'),
  '--retry-delay': told('registries are asked again in any case', '2s'),
  '--rewrite-timestamp': better('true is the default', 'false', 'outputs'),
  '--skip-unused-stages': already('true'),
  '--source-date-epoch': same('12', 'buildArgs', 'epoch'),
  '--timestamp': better('files that are older keep their times', '12', 'buildArgs', 'epoch'),
  '--tls-verify': same('false', 'tlsVerify'),
  '--userns': already('host'),
  '--uts': already('private'),
  '--variant': same('v3', 'platforms'),
  '--volume': better(
    'a change of the files runs the steps again',
    './lib:/lib:ro',
    'volumes',
    'namedContexts',
    'lentPaths',
  ),
  ...Object.fromEntries(
    Object.keys(REFUSED_FLAGS).map((flag) => [flag, { kind: 'refused', value: 'x' } as const]),
  ),
};

/** The flags of a builder's help, which `cli/flags/testing/` has as it was printed. */
export const PEERS = ['buildx', 'docker', 'buildah'] as const;

export interface PeerFlag {
  readonly flag: string;
  readonly short: string | undefined;
  readonly takesValue: boolean;
}

export function peerFlagsOf(list: string): readonly PeerFlag[] {
  const text = readFileSync(new URL(`../flags/testing/${list}.txt`, import.meta.url), 'utf8');
  return text.split('\n').flatMap((line) => {
    const [, short, flag, value] = /^(?:(-\w), )?(--[\w-]+)(.*)$/.exec(line) ?? [];
    return flag === undefined ? [] : [{ flag, short, takesValue: /^ \S/.test(value ?? '') }];
  });
}
