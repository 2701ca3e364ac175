import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import { asDigest } from '../base/digest.ts';
import type { Descriptor } from '../base/oci.ts';
import type { Engine } from '../builder/engine.ts';
import { openKiln } from '../builder/library.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { fileChanges } from '../solver/llb/builder.ts';
import { marshalDefinition, toDefinition } from '../solver/llb/definition.ts';
import { type DraftEdge, seal } from '../solver/llb/draft.ts';
import { TestGrpcClient } from './grpc/test-client-fixture.ts';
import { Control } from './proto/control.gen.ts';
import { LLBBridge } from './proto/gateway.gen.ts';
import { type ServeOptions, serve } from './serve.ts';

/** A server over a store of its own, in this process, with a client of another gRPC. */
export class Served implements AsyncDisposable {
  readonly directory: string;
  readonly socket: string;
  readonly engine: Engine;
  readonly client: TestGrpcClient;
  readonly bugs: unknown[] = [];
  readonly #running: AsyncDisposableStack;

  private constructor(directory: string, engine: Engine, running: AsyncDisposableStack) {
    this.directory = directory;
    this.socket = join(directory, 's');
    this.engine = engine;
    this.#running = running;
    this.client = new TestGrpcClient(this.socket);
  }

  static async open(options: Partial<ServeOptions> = {}): Promise<Served> {
    const directory = mkdtempSync(join(tmpdir(), 'kiln-served-'));
    const running = new AsyncDisposableStack();
    running.defer(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
    const engine = running.use(openKiln({ root: join(directory, 'store') }));
    const served = new Served(directory, engine, running);
    const addresses = [{ kind: 'unix', path: served.socket } as const];
    const tell = (error: unknown) => served.bugs.push(error);
    running.use(await serve({ engine, addresses, version: 'test', tell, ...options }));
    running.use(served.client);
    return served;
  }

  /**
   * Begins the build `ref`, which the client drives, and drives it by `drive`. Answers its
   * response.
   */
  async drive(
    request: MessageInitShape<typeof Control.method.solve.input>,
    drive: (
      bridge: DrivingClient,
    ) => Promise<MessageInitShape<typeof LLBBridge.method.return.input>>,
    ref = `ref${Math.random()}`,
  ): Promise<Readonly<Record<string, string>>> {
    const headers = { 'buildkit-controlapi-buildid': ref };
    const solving = this.client.call(Control.method.solve, { ...request, ref });
    solving.catch(() => {});
    const bridge: DrivingClient = {
      call: (method, message) => this.client.call(method, message, headers),
    };
    const result = await drive(bridge).catch(async (error: unknown) => {
      await bridge.call(LLBBridge.method.return, { error: { code: 2, message: 'it failed' } });
      throw error;
    });
    await this.client.call(LLBBridge.method.return, result, headers);
    return (await solving).exporterResponse;
  }

  /** The code and the sentence of the error with which a call ends. */
  async refused(
    answer: Promise<unknown>,
  ): Promise<{ readonly code: number; readonly text: string }> {
    const { code, details } = await this.client.refused(answer);
    // This client leaves some characters escaped.
    return { code, text: decodeURIComponent(details) };
  }

  /** A document of an image in the store, parsed. */
  document<T extends object = ImageDocument>(digest: string | undefined): T {
    return JSON.parse(this.engine.content.read(asDigest(digest ?? '')).toString());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.disposeAsync();
  }
}

/** What tests look for in documents of images. */
export interface ImageDocument {
  readonly manifests: readonly Descriptor[];
  readonly layers: readonly Descriptor[];
  readonly config: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The calls of a client to the build that it drives. */
export interface DrivingClient {
  readonly call: <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    message: MessageInitShape<I>,
  ) => Promise<MessageShape<O>>;
}

/** A pb.Definition of a draft. */
export function definitionOf(draft: DraftEdge): Uint8Array {
  return marshalDefinition(toDefinition(seal(draft, hostPlatform())));
}

/** A graph that writes files, by their paths. */
export function filesGraph(files: Readonly<Record<string, string>>): Uint8Array {
  return definitionOf(
    fileChanges(
      undefined,
      Object.entries(files).map(([path, text]) => ({
        kind: 'mkfile',
        mkfile: { path, mode: 0o640, data: Buffer.from(text), timestamp: -1 },
      })),
      { name: `writes ${Object.keys(files).join()}` },
    ),
  );
}
