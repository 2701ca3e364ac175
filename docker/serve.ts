import type { BuildServices } from '../api/build-services.ts';
import type { ListenAddress } from '../api/grpc/listen-address.ts';
import type { ConnectionOptions } from '../api/grpc/listening.ts';
import { buildImage, cancelBuild, type RunningBuilds } from './build/build-image.ts';
import { hijackedConnections } from './client/hijacked.ts';
import { checkLogin } from './client/login.ts';
import type { DockerHost } from './docker-host.ts';
import { handImages } from './engine/hand-images.ts';
import { noEngine } from './engine/no-engine.ts';
import { passOn } from './engine/pass-on.ts';
import { serveDocker } from './http/docker-server.ts';
import { Router } from './http/router.ts';
import { describeDistribution } from './images/distribution.ts';
import { imageHistory, inspectImage, tagImage } from './images/image-about.ts';
import { loadImages, saveImage, saveNamed } from './images/image-archives.ts';
import { ImageEvents } from './images/image-events.ts';
import { listImages } from './images/image-list.ts';
import { removeImage, removeUnusedImages } from './images/image-remove.ts';
import { createImage, pushImageTo } from './images/image-transfers.ts';
import { info, ping, version } from './system/about.ts';
import { pruneBuilds, spaceUsed } from './system/disk-usage.ts';
import { streamEvents } from './system/event-stream.ts';

export interface DockerOptions {
  /** BuildKit's services, which clients reach through this socket, too. */
  readonly services: BuildServices;
  /** The version of Kiln. */
  readonly version: string;
  readonly addresses: readonly ListenAddress[];
  readonly connections?: ConnectionOptions | undefined;
  /** The socket of an engine that answers what is not a matter of building. */
  readonly passTo?: string | undefined;
  /** Told of errors that are bugs of ours. */
  readonly tell: (error: unknown) => void;
}

/**
 * # Docker's API for all that is building and images
 *
 * Programs that know only Docker's socket build here. What runs containers is passed on to an
 * engine, or refused. Disposed, it cancels what runs, and ends all connections.
 */
export async function serveDockerApi({
  services,
  version: own,
  addresses,
  connections,
  passTo,
  tell,
}: DockerOptions): Promise<AsyncDisposable> {
  const { host: control } = services;
  const host: DockerHost = {
    engine: control.engine,
    control,
    events: new ImageEvents(),
    version: own,
  };
  const options = {
    router: routerOf(host),
    hijacks: hijackedConnections(services),
    otherwise: passTo === undefined ? noEngine : passOn(passTo, handImages(host, passTo)),
    connections,
    tell,
  };
  await using scope = new AsyncDisposableStack();
  for (const address of addresses) scope.use(await serveDocker(address, options));
  return scope.move();
}

function routerOf(host: DockerHost): Router {
  const running: RunningBuilds = new Map();
  return new Router({
    'GET /_ping': ping,
    'HEAD /_ping': ping,
    'GET /version': version(host),
    'GET /info': info(host),
    'GET /system/df': spaceUsed(host),
    'GET /events': streamEvents(host),
    'POST /auth': checkLogin(host),
    'POST /build': buildImage(host, running),
    'POST /build/cancel': cancelBuild(running),
    'POST /build/prune': pruneBuilds(host),
    'GET /images/json': listImages(host),
    'GET /images/get': saveNamed(host),
    'POST /images/create': createImage(host),
    'POST /images/load': loadImages(host),
    'POST /images/prune': removeUnusedImages(host),
    'GET /images/{}/json': inspectImage(host),
    'GET /images/{}/history': imageHistory(host),
    'GET /images/{}/get': saveImage(host),
    'POST /images/{}/tag': tagImage(host),
    'POST /images/{}/push': pushImageTo(host),
    'DELETE /images/{}': removeImage(host),
    'GET /distribution/{}/json': describeDistribution(host),
  });
}
