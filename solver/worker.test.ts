import { localWorker } from './local-worker.ts';
import { testHost } from './testing/host.ts';
import { loopbackWorker } from './testing/loopback-worker.ts';
import { workerContract } from './worker.contract.ts';

const LIMITS = { process: 2, network: 4, cpu: 2 };

workerContract('this host', async (commands, more) => {
  const host = await testHost(commands, more);
  return {
    worker: localWorker(host.world, LIMITS),
    host,
    [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
  };
});

workerContract('another host, connected by bytes', async (commands, more) => {
  await using scope = new AsyncDisposableStack();
  // Only the far host has the commands and the network services, so a passing test has used the
  // connection.
  const [near, far] = [scope.use(await testHost()), scope.use(await testHost(commands, more))];
  const worker = scope.use(loopbackWorker(near, far, localWorker(far.world, LIMITS)));
  const held = scope.move();
  return { worker, host: near, [Symbol.asyncDispose]: () => held.disposeAsync() };
});
