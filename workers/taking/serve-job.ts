import type { ConnectRouter } from '@connectrpc/connect';
import type { NatsConnection } from '@nats-io/transport-node';
import type { BuildServices } from '../../api/build-services.ts';
import { controlService } from '../../api/control/control-service.ts';
import { served } from '../../api/grpc/served.ts';
import { serveStream } from '../../api/grpc/stream-server.ts';
import { healthService } from '../../api/health-service.ts';
import { Control } from '../../api/proto/control.gen.ts';
import { Health } from '../../api/proto/health.gen.ts';
import { makeKeyHalf } from '../nats/link-keys.ts';
import { SealedLink } from '../nats/sealed-link.ts';
import {
  type HelloAnswer,
  type HelloMessage,
  helloSubject,
  type JobMessage,
  linkSubjects,
  messageBytes,
  PROTOCOL,
  parseMessage,
} from '../protocol.ts';

/** Who serves. */
export interface ServingWorker {
  readonly connection: NatsConnection;
  readonly services: BuildServices;
  readonly worker: string;
  readonly version: string;
  readonly tell: (error: unknown) => void;
  /** Why this worker can do no work now, such as a full disk. */
  readonly hindrance: () => string | undefined;
}

/**
 * How a job ended: `over` when the build has ended the link, or there is no such build any more;
 * `unwelcome` when the build wants another worker; `broken` when the link broke.
 */
export type JobEnd = 'over' | 'unwelcome' | 'broken';

/** A build answers a worker within this time, in milliseconds. */
const HELLO_MS = 10_000;

/**
 * Does a job: says hello to the build, and serves it on a link of their own until it ends that. The
 * build may have graphs solved there, and nothing else: it sees no other builds. Never rejects.
 */
export async function serveJob(
  job: JobMessage,
  name: string,
  { connection, services, worker, version, tell, hindrance }: ServingWorker,
  signal: AbortSignal,
): Promise<JobEnd> {
  const half = makeKeyHalf();
  const names = linkSubjects(name);
  let link: SealedLink;
  try {
    const keys = half.keysWith(job.publicKey, { job: job.id, link: name, role: 'worker' });
    link = new SealedLink(connection, {
      own: names.worker,
      other: names.build,
      ownKey: keys.toBuild,
      otherKey: keys.toWorker,
    });
  } catch {
    // Whoever wrote the job has no such key.
    return 'over';
  }
  try {
    const hello: HelloMessage = {
      protocol: PROTOCOL,
      version,
      worker,
      link: name,
      publicKey: half.publicKey,
    };
    const { data } = await connection.request(helloSubject(job.id), messageBytes(hello), {
      timeout: HELLO_MS,
    });
    const answer = parseMessage<HelloAnswer>(data, []);
    if (answer?.protocol !== PROTOCOL || !answer.isWelcome) {
      link.destroy();
      return 'unwelcome';
    }
  } catch {
    // Nobody is there: the build is over, or was killed.
    link.destroy();
    return 'over';
  }
  return await serveLink(link, services, { tell, hindrance }, signal);
}

async function serveLink(
  link: SealedLink,
  { host, byteMethods }: BuildServices,
  { tell, hindrance }: Pick<ServingWorker, 'tell' | 'hindrance'>,
  signal: AbortSignal,
): Promise<JobEnd> {
  const closed = Promise.withResolvers<void>();
  link.once('close', () => closed.resolve());
  const end = () => void link.destroy(new Error('the worker ends'));
  signal.addEventListener('abort', end, { once: true });
  const routes = (router: ConnectRouter) => {
    const { solve, status } = controlService(host);
    const unhindered: typeof solve = async (request, context) => {
      try {
        return await solve!(request, context);
      } catch (error) {
        // A step that failed because this worker has no room has not failed: another one does it.
        const reason = hindrance();
        if (reason !== undefined) link.destroy(new Error(reason));
        throw error;
      }
    };
    const methods = { ...(solve && { solve: unhindered }), ...(status && { status }) };
    router.service(Control, served(methods, tell));
    router.service(Health, served(healthService(host.stopping), tell));
  };
  serveStream(link, routes, { spoken: () => {}, closed: () => link.destroy() }, byteMethods);
  await closed.promise;
  signal.removeEventListener('abort', end);
  return link.isOver ? 'over' : 'broken';
}
