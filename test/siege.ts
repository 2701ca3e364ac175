import { globSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Control } from '../api/proto/control.gen.ts';
import { type Held, heldBy, moreThan, settled } from './held.ts';
import { type Answer, type Answering, FILE_SYNC, lending, RawClient } from './raw-client.ts';
import type { Ran } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/** Makes a suite whose tests misbehave at one server. */
export function siegeSuite(name: string) {
  const test = suite<{ siege: Siege }>(name);
  test.before(async (context) => {
    context.siege = await Siege.create();
  });
  test.after(async ({ siege }) => await siege[Symbol.asyncDispose]());
  const misbehaving = (what: string, misbehave: (siege: Siege) => Promise<void>) =>
    test(what, async ({ siege }) => await siege.during(misbehave));
  return Object.assign(misbehaving, { run: () => test.run() });
}

/**
 * A server at which tests misbehave, while docker buildx builds at it: a step of that build runs
 * from the beginning to the end. What tests do must not disturb it, and must leave nothing.
 */
export class Siege implements AsyncDisposable {
  readonly serve: ServeRig;
  readonly #mark: string;
  readonly #building: Promise<Ran>;
  readonly #clients = new Set<RawClient>();
  #before: Held | undefined;
  #refs = 0;

  private constructor(serve: ServeRig, mark: string, building: Promise<Ran>) {
    this.serve = serve;
    this.#mark = mark;
    this.#building = building;
  }

  static async create(): Promise<Siege> {
    const serve = await ServeRig.create('busybox');
    const mark = `mark${Math.floor(Math.random() * 1e9)}`;
    serve.rig.write('c', { f: 'of the neighbour' });
    const up = Promise.withResolvers<void>();
    const building = serve.buildx(
      ['build', '--progress=plain', '-o', 'neighbour', '-f', '-', 'c'],
      {
        expect: undefined,
        stdin:
          `FROM busybox\nCOPY f /f\nRUN trap 'echo ended > /${mark}; exit 0' USR1; echo up; ` +
          'while :; do sleep 0.1; done\nRUN cp /f /g\n',
        watch: (output) => {
          if (/^#\d+ [\d.]+ up$/m.test(output)) up.resolve();
        },
      },
    );
    await Promise.race([up.promise, building.then((ran) => Promise.reject(new Error(ran.stderr)))]);
    const siege = new Siege(serve, mark, building);
    // The threads and networks that are ever needed at once stay there.
    await Promise.all([siege.mustServe(), siege.mustServe()]);
    return siege;
  }

  get pid(): number {
    return this.serve.pid;
  }

  /** A connection, which ends with the test. */
  client(): RawClient {
    const client = new RawClient(this.serve.socket);
    this.#clients.add(client);
    return client;
  }

  ref(): string {
    return `ref${this.#refs++}`;
  }

  /** Builds a Dockerfile from a session with these answers besides its files. */
  async solve(
    client: RawClient,
    {
      files,
      answers = {},
      attrs = {},
      ref = this.ref(),
      exporters = [],
    }: {
      readonly files: Readonly<Record<string, string>>;
      readonly answers?: Readonly<Record<string, Answering>>;
      readonly attrs?: Readonly<Record<string, string>>;
      readonly ref?: string;
      readonly exporters?: readonly { type: string; attrs: Record<string, string> }[];
    },
  ): Promise<Answer> {
    const list = Object.entries(files).map(([path, text]) => ({ path, text }));
    const session = client.session({
      [FILE_SYNC]: lending({ context: list, dockerfile: list }),
      ...answers,
    });
    try {
      return await client.call(Control.method.solve, {
        ref,
        session: session.id,
        frontend: 'dockerfile.v0',
        frontendAttrs: attrs,
        exporters: [...exporters],
      });
    } finally {
      session.end();
    }
  }

  /** Runs `misbehave`. Afterwards its clients go, and nothing of theirs may stay. */
  async during(misbehave: (siege: Siege) => Promise<void>): Promise<void> {
    await this.#begin();
    const printed = this.serve.printed.length;
    try {
      await misbehave(this);
    } finally {
      for (const client of this.#clients) client[Symbol.dispose]();
      this.#clients.clear();
    }
    const left = await settled(() =>
      moreThan(this.#before!, heldBy(this.pid, this.serve.rig.store)),
    );
    assert.is(left, undefined, left);
    assert.is(this.serve.printed.slice(printed), '');
    await this.mustServe();
  }

  async #begin(): Promise<void> {
    let last = '';
    await settled(() => {
      this.#before = heldBy(this.pid, this.serve.rig.store);
      const now = JSON.stringify(this.#before);
      const isSame = now === last;
      last = now;
      return isSame ? undefined : 'changing';
    });
  }

  /** A client that behaves is served as ever. */
  async mustServe(): Promise<void> {
    using client = new RawClient(this.serve.socket);
    const text = `FROM busybox\nCOPY Dockerfile /d\nRUN cat /d # ${this.ref()}\n`;
    const { code, text: why } = await this.solve(client, { files: { Dockerfile: text } });
    assert.is(code, 0, why);
  }

  /** Ends the build that has been there all the time: it must succeed. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      const steps = globSync('/proc/[0-9]*/cmdline').filter((file) => {
        const command = textOf(file);
        return command.includes(this.#mark) && command.startsWith('/bin/sh\0');
      });
      assert.is(steps.length, 1, 'the step of the other build has gone');
      process.kill(Number(steps[0]!.split('/')[2]), 'SIGUSR1');
      const ran = await this.#building;
      assert.is(ran.code, 0, ran.stderr);
      const { rig } = this.serve;
      assert.is(readFileSync(rig.path('neighbour', this.#mark), 'utf8'), 'ended\n');
      assert.is(readFileSync(rig.path('neighbour/g'), 'utf8'), 'of the neighbour');
      await rig.kiln(['fsck'], { expect: 0 });
      assert.is(await this.serve.end(), 0);
    } finally {
      await this.serve[Symbol.asyncDispose]();
    }
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
