import type { InnerClient } from '../../api/grpc/inner-client.ts';
import { Content } from '../../api/proto/content.gen.ts';
import { Control } from '../../api/proto/control.gen.ts';
import { isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { STANDARD_OUTPUT } from '../../exporter/output-spec.ts';
import { serverStream } from '../../remote/calls.ts';
import { ProgressReader } from '../../remote/progress-events.ts';
import { standardOutput } from '../binary-output.ts';
import { flagError } from '../flag-error.ts';
import { stdout } from '../output.ts';
import { createView } from '../progress/create-view.ts';
import { progressMode } from '../progress-mode.ts';
import { colorEnabled } from '../terminal/terminal-size.ts';
import { withServer } from './open.ts';
import type { ConnectFlags } from './server-address.ts';

export interface LogsFlags {
  readonly progress?: string;
  readonly trace?: boolean;
}

/** `buildctl debug get DIGEST`: prints a blob of the server. */
export async function printBlob(server: ConnectFlags, digest: string): Promise<number> {
  if (!isDigest(digest))
    throw flagError('debug get', `${JSON.stringify(digest)} is not a sha256 digest`);
  await withServer(server, (client, signal) => copyBlob(client, digest, signal));
  return 0;
}

/** `buildctl debug logs REF`: prints the progress of a build, or with `--trace` its trace. */
export async function printLogs(
  server: ConnectFlags,
  ref: string,
  { progress, trace = false }: LogsFlags,
): Promise<number> {
  const { env } = process;
  const { method } = Control;
  await withServer(server, async (client, signal) => {
    if (trace) {
      const asked = { ref, earlyExit: true };
      let digest: string | undefined;
      for await (const { record } of serverStream(client, method.listenBuildHistory, asked, signal))
        digest ??= record?.trace?.digest;
      if (digest === undefined)
        throw new KilnError('KILN_LOG_NOT_FOUND', `the build ${ref} has no trace`);
      return await copyBlob(client, digest, signal);
    }
    const view = await createView(progressMode(progress, env), stdout, {
      activity: 'Building',
      color: colorEnabled(env),
      env,
    });
    const reader = new ProgressReader();
    try {
      for await (const message of serverStream(client, method.status, { ref }, signal))
        for (const event of reader.read(message)) view.event(event);
    } finally {
      view.close('done');
    }
  });
  return 0;
}

async function copyBlob(client: InnerClient, digest: string, signal: AbortSignal): Promise<void> {
  const write = standardOutput('debug get');
  for await (const { data } of serverStream(client, Content.method.read, { digest }, signal))
    await write(data, signal, STANDARD_OUTPUT);
}
