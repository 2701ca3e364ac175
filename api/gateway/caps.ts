import type { MessageInitShape } from '@bufbuild/protobuf';
import type { APICapSchema } from '../proto/caps.gen.ts';

type Cap = MessageInitShape<typeof APICapSchema>;

/** What of LLBBridge is served. A client that needs something else says which. */
const FRONTEND = [
  'solve.base',
  'solve.inlinereturn',
  'resolveimage',
  'resolveimage.resolvemode',
  'readfile',
  'return',
  'returnmap',
  'proto.refarray',
  'reference.output',
  'frontend.inputs',
  'frontend.caps',
  'gateway.solve.metadata',
  'gateway.evaluate',
  'gateway.solve.evaluate',
  'gateway.warnings',
  'importcaches',
  'reference.attestations',
];

/** What graphs may ask of the solver. */
const LLB = [
  'source.image',
  'source.image.resolvemode',
  'source.image.checksum',
  'source.local',
  'source.local.unique',
  'source.local.sessionid',
  'source.local.includepatterns',
  'source.local.followpaths',
  'source.local.excludepatterns',
  'source.local.sharedkeyhint',
  'source.local.differ',
  'source.git',
  'source.git.keepgitdir',
  'source.git.fullurl',
  'source.git.httpauth',
  'source.git.knownsshhosts',
  'source.git.mountsshsock',
  'source.git.subdir',
  'source.git.checksum',
  'source.http',
  'source.http.checksum',
  'source.http.perm',
  // Spelled so by the clients.
  'soruce.http.uidgid',
  'source.http.auth',
  'source.http.header',
  'source.ocilayout',
  'source.buildop.llbfilename',
  'exec.meta.base',
  'exec.meta.cgroup.parent',
  'exec.meta.network',
  'exec.meta.proxyenv',
  'exec.meta.security',
  'exec.meta.setsdefaultpath',
  'exec.meta.ulimit',
  'exec.meta.removemountstubs.recursive',
  'exec.mount.bind',
  'exec.mount.bind.readwrite-nooutput',
  'exec.mount.cache',
  'exec.mount.cache.sharing',
  'exec.mount.cache.content',
  'exec.mount.selector',
  'exec.mount.tmpfs',
  'exec.mount.tmpfs.size',
  'exec.mount.secret',
  'exec.mount.ssh',
  'exec.mount.cdi',
  'exec.meta.cdi',
  'exec.secretenv',
  'exec.validexitcode',
  'file.base',
  'file.rm.wildcard',
  'file.rm.nofollowsymlink',
  'file.copy.includeexcludepatterns',
  'file.copy.alwaysreplaceexistingdestpaths',
  'file.copy.modestring',
  'file.symlink.create',
  'constraints',
  'platform',
  'meta.ignorecache',
  'meta.description',
  'meta.exportcache',
  'mergeop',
  'diffop',
  'exporter.image.annotations',
  'exporter.image.attestations',
  'exporter.multiple',
  'exporter.sourcedateepoch',
];

export const FRONTEND_CAPS: readonly Cap[] = FRONTEND.map(enabled);
export const LLB_CAPS: readonly Cap[] = LLB.map(enabled);

function enabled(id: string): Cap {
  return { id, enabled: true };
}
