import {
  type BuildServices,
  type BuildServicesOptions,
  openBuildServices,
} from './build-services.ts';
import { serveGrpc } from './grpc/grpc-server.ts';
import type { ListenAddress } from './grpc/listen-address.ts';
import type { ConnectionOptions } from './grpc/listening.ts';

export interface ServeOptions extends BuildServicesOptions {
  readonly addresses: readonly ListenAddress[];
  /** How connections are accepted. */
  readonly connections?: ConnectionOptions | undefined;
}

/**
 * Serves BuildKit's services over an engine, at these addresses. Disposed, it cancels what runs,
 * tells the clients, and ends all connections.
 */
export async function serve({
  addresses,
  connections,
  ...options
}: ServeOptions): Promise<AsyncDisposable> {
  await using scope = new AsyncDisposableStack();
  const services = openBuildServices(options);
  scope.use(await listenForClients(services, addresses, connections));
  scope.use(services);
  return scope.move();
}

/**
 * Listens for clients of BuildKit. Disposed, it takes no more connections, and ends those that are
 * open. Dispose the services before it, so that clients are told how their builds ended.
 */
export async function listenForClients(
  { routes, byteMethods }: BuildServices,
  addresses: readonly ListenAddress[],
  connections: ConnectionOptions = {},
): Promise<AsyncDisposable> {
  await using scope = new AsyncDisposableStack();
  for (const address of addresses)
    scope.use(await serveGrpc(address, connections, routes, byteMethods));
  return scope.move();
}
