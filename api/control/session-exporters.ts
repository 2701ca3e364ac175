import { Code, ConnectError } from '@connectrpc/connect';
import type { BuildAnswer, BuildDriver } from '../../builder/bridge.ts';
import { resultMessage } from '../gateway/result-messages.ts';
import { Exporter } from '../proto/exporter.gen.ts';
import { clientError } from '../session/client-error.ts';
import type { ClientSession } from '../session/client-session.ts';
import type { OpenBuild } from './open-builds.ts';
import type { Outputs } from './outputs.ts';

/** A client that asks for more outputs than this has gone wrong. */
const MAX_EXPORTERS = 100;

/**
 * # Exporters of the session
 *
 * A client may say where the result goes when there is one: it is asked with the metadata of the
 * result and with refs by which it can look into it. When all outputs are there, it is told so.
 */
export class SessionExporters {
  readonly #client: ClientSession;
  readonly #open: OpenBuild;
  readonly #outputs: Outputs;
  readonly #signal: AbortSignal;

  constructor(client: ClientSession, open: OpenBuild, outputs: Outputs, signal: AbortSignal) {
    this.#client = client;
    this.#open = open;
    this.#outputs = outputs;
    this.#signal = signal;
  }

  /** Makes a driver that also asks the client for outputs. */
  asked(driver: BuildDriver): BuildDriver {
    return async (bridge) => {
      // The client can look into the result though it does not drive the build.
      this.#open.driver.lend(bridge);
      const answer = await driver(bridge);
      if (answer.targets.length === 0) return answer;
      const exporters = await this.#find(answer);
      return { ...answer, outputs: this.#outputs.add(exporters) };
    };
  }

  /** Tells the client what the exporters told. */
  async finalize(exporterResponse: Readonly<Record<string, string>>): Promise<void> {
    const { client } = this.#client;
    const asked = { exporterResponse: { ...exporterResponse } };
    try {
      await client.unary(Exporter.method.finalizeExport, asked, this.#signal);
    } catch (error) {
      if (!isAbsent(error, [Code.Unimplemented])) throw clientError(error);
    }
  }

  async #find(answer: BuildAnswer) {
    const { client } = this.#client;
    const { metadata, result } = resultMessage(answer, this.#open.refs);
    const refs =
      result.case === 'ref'
        ? [result.value.id]
        : result.case === 'refs'
          ? Object.values(result.value.refs).map(({ id }) => id)
          : [];
    const asked = { metadata: { ...metadata }, refs: refs.filter((id) => id !== '') };
    try {
      const found = await client.unary(Exporter.method.findExporters, asked, this.#signal);
      if (found.exporters.length > MAX_EXPORTERS)
        throw new ConnectError('the session names too many exporters', Code.ResourceExhausted);
      return found.exporters;
    } catch (error) {
      if (isAbsent(error, [Code.Unimplemented, Code.Unavailable])) return [];
      throw clientError(error);
    }
  }
}

function isAbsent(error: unknown, codes: readonly Code[]): boolean {
  return error instanceof ConnectError && codes.includes(error.code);
}
