import { digestOf } from '../base/digest.ts';
import type { Platform } from '../base/platform.ts';
import type { ImageResolver } from '../frontend/frontend.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { seal } from '../solver/llb/draft.ts';
import type { SourceOp } from '../solver/llb/ops.ts';
import { loadGraphs } from '../solver/load-graphs.ts';
import type { BuildContext } from './build-context.ts';
import type { Solving } from './solving.ts';
import type { SourceMeta, WantedMeta } from './source-verifier.ts';

/** What looks sources up: without policies. */
export interface MetaServices {
  readonly context: Pick<BuildContext, 'engine' | 'progress' | 'signal'>;
  readonly resolveImage: ImageResolver;
  readonly solving: () => Solving;
}

/**
 * Looks up a source as a step would: the digest of an image, the commit of a ref, the digest of a
 * file, which is downloaded for it. What is found stays the same for the rest of the build. Throws
 * the errors of the sources.
 */
export async function sourceMeta(
  source: SourceOp,
  platform: Platform | undefined,
  wanted: WantedMeta,
  services: MetaServices,
): Promise<SourceMeta> {
  const [, scheme = '', rest = ''] = /^([a-z-]+):\/\/(.*)$/s.exec(source.identifier) ?? [];
  switch (scheme) {
    case 'docker-image':
    case 'oci-layout': {
      // A layout of a named context has no store: its frontend has found it.
      if (scheme === 'oci-layout' && source.attrs['oci.store'])
        return await layoutMeta(source, platform, wanted, services.solving());
      const ref = scheme === 'docker-image' ? rest : source.identifier;
      const { pull = false, noConfig = false } = wanted;
      const found = await services.resolveImage(ref, platform ?? hostPlatform(), { pull });
      const config = noConfig ? undefined : Buffer.from(JSON.stringify(found.config));
      const chain = await chainOf(`${found.name}@${found.digest}`, platform, wanted, services);
      return { image: { digest: found.digest, name: found.name, config, ...chain } };
    }
    case 'git':
      return await gitMeta(source, wanted, services);
    case 'http':
    case 'https':
      return await httpMeta(source, services);
    default:
      return {};
  }
}

/** An image in a layout that the caller lends. It is read where steps read it. */
async function layoutMeta(
  source: SourceOp,
  platform: Platform | undefined,
  { noConfig }: WantedMeta,
  { images, session, signal }: Solving,
): Promise<SourceMeta> {
  const { resolveSource } = await import('../solver/ops/source-image.ts');
  const places = { images, layout: session.layout };
  const found = await resolveSource(source, platform ?? hostPlatform(), places, signal);
  const config = noConfig ? undefined : Buffer.from(JSON.stringify(found.config));
  return { image: { digest: found.digest, name: source.identifier, config } };
}

async function chainOf(
  name: string,
  platform: Platform | undefined,
  { attestations }: WantedMeta,
  { context, solving }: MetaServices,
) {
  if (!attestations || name.startsWith('/')) return {};
  const { attestationChain } = await import('./attestation-chain.ts');
  const { content } = context.engine;
  const wanted = platform ?? hostPlatform();
  return { chain: await attestationChain(name, wanted, attestations, content, solving()) };
}

async function gitMeta(
  source: SourceOp,
  { gitObjects: areWanted }: WantedMeta,
  services: MetaServices,
): Promise<SourceMeta> {
  // Its key alone needs no look-up when the commit is given, and says nothing about the ref then.
  const session = await lookedUp(source, services);
  const [{ gitObjects, resolveGit }, host] = await Promise.all([
    import('../solver/ops/source-git.ts'),
    gitHost(services),
  ]);
  const { progress, signal } = services.context;
  const context = { progress, vertex: digestOf(''), signal, session, started: () => {} };
  const resolved = await resolveGit(source, host, context);
  const { object, commit, name } = resolved;
  return {
    git: {
      ref: name ?? object,
      checksum: object,
      commitChecksum: commit === object ? undefined : commit,
      ...(areWanted && (await gitObjects(source, resolved, host, context))),
    },
  };
}

async function gitHost({ context: { engine } }: MetaServices) {
  const { openRemotes } = await import('./remotes.ts');
  return (await openRemotes(engine).git()).git;
}

async function httpMeta(source: SourceOp, services: MetaServices): Promise<SourceMeta> {
  const { readHttpSource, requestId } = await import('../solver/ops/http/http-source.ts');
  const { checksum: _, ...read } = readHttpSource(source);
  // Its checksum is that of the file that the server has, whatever the graph expects.
  const { 'http.checksum': _expected, ...attrs } = source.attrs;
  const { found } = await lookedUp({ ...source, attrs }, services);
  const answer = await found.answers.get(requestId({ ...read, checksum: undefined }));
  if (!answer) return {};
  const { digest, filename, modified } = answer.file;
  const time = Date.parse(modified ?? '');
  const lastModified = Number.isNaN(time) ? undefined : new Date(time);
  return { http: { digest, filename, lastModified } };
}

/** Has the worker make the key of the source: for that it is looked up. Answers the session. */
async function lookedUp(source: SourceOp, { context, solving }: MetaServices) {
  const { worker, session } = solving();
  const { progress, signal } = context;
  const draft = {
    parents: [],
    make: () => ({
      op: { kind: 'source', source } as const,
      inputs: [],
      metadata: { description: {}, caps: [], locations: [] },
    }),
  };
  const edge = seal({ draft, output: 0 }, worker.platforms[0]);
  const [loaded] = loadGraphs([edge], worker, session.allowed);
  const { digest: vertex } = edge.vertex;
  const started = () => {};
  await loaded?.vertex.op.cacheMap(signal, { progress, vertex, started, session });
  return session;
}
