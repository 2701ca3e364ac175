import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Loans } from '../remote/lend/loans.ts';
import { openServer } from '../remote/open-server.ts';
import { remoteBuild } from '../remote/remote-build.ts';
import { remoteCall } from '../remote/remote-call.ts';
import type { BuildOptions } from './build-options.ts';
import type { BuilderAddress } from './builder-address.ts';
import type { Builds } from './builds.ts';
import { localLoans } from './local-session.ts';
import { registryOptions, userCredentials } from './registry-options.ts';
import { readSshSources } from './ssh-sources.ts';

/** The builds of a builder elsewhere. Throws KILN_ADDRESS_INVALID and KILN_SERVER_UNREACHABLE. */
export async function buildsElsewhere(
  options: BuildOptions,
  { address, source }: BuilderAddress,
): Promise<Builds> {
  const server = await openServer(address, source);
  const explained = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw server.explain(error);
    }
  };
  const { request } = options;
  return {
    build: (progress, signal) =>
      explained(remoteBuild(server, request, loansOf(options, signal), progress, signal)),
    call: (call, progress, signal) =>
      explained(remoteCall(server, call, request, loansOf(options, signal), progress, signal)),
    async [Symbol.asyncDispose]() {
      server[Symbol.dispose]();
    },
  };
}

/** What this process lends to a server elsewhere. */
function loansOf(options: BuildOptions, signal: AbortSignal): Loans {
  const { env } = process;
  const agents = readSshSources(options.ssh, env);
  return {
    ...localLoans(options, signal),
    agent: async (id) => agents.get(id),
    registry: async () => ({
      ...(await registryOptions(env)),
      credentials: userCredentials(env, options.authFile),
    }),
    sharedKey: sharedKeyOf(options),
  };
}

/** The same for all builds of this user, on this host, of this context. */
function sharedKeyOf({ shownContext }: BuildOptions): string {
  const parts = [hostname(), String(process.getuid?.()), resolve(shownContext)];
  return createHash('sha256').update(parts.join('\0')).digest('hex');
}
