import * as assert from 'uvu/assert';
import { Control } from '../api/proto/control.gen.ts';
import { LLBBridge } from '../api/proto/gateway.gen.ts';
import {
  type Answer,
  type Answering,
  directoryAt,
  FILE_SYNC,
  type LentFile,
  type Lies,
  lending,
  refusing,
  replying,
  sending,
  silent,
  statOf,
  statPacket,
} from './raw-client.ts';
import { type Siege, siegeSuite } from './siege.ts';

/** Sessions that lie, fall silent, or go away while the server asks them for something. */
const test = siegeSuite('sessions of hostile clients');

const COPY = 'FROM scratch\nCOPY . /\n';
const SECRET = '/moby.buildkit.secrets.v1.Secrets/GetSecret';
const AGENT = '/moby.sshforward.v1.SSH/CheckAgent';
const FORWARD = '/moby.sshforward.v1.SSH/ForwardAgent';

function refused({ code, text }: Answer, what: string): void {
  assert.ok(code, `${what}: ${code} ${text}`);
  assert.not.match(text, /TypeError|RangeError|ERR_|undefined|\bat [\w.]+ \(/, `${what}: ${text}`);
}

/** Builds from a context that the client lends with lies. */
async function lied(siege: Siege, lies: Lies): Promise<Answer> {
  const dockerfile = [{ path: 'Dockerfile', text: COPY }];
  const answers = { [FILE_SYNC]: lending({ dockerfile }, { context: lies }) };
  return await siege.solve(siege.client(), { files: {}, answers });
}

const told = (...files: LentFile[]): Lies => ({
  told: [...files.map(statOf), statPacket(undefined)],
});

test('a directory of a client that lies is refused with the reason', async (siege) => {
  const a = { path: 'a', mode: 0o600 };
  const lies: Readonly<Record<string, Lies>> = {
    'a path above': told({ path: '../a' }),
    'a path above, inside': told(directoryAt('d'), { path: 'd/../../a' }),
    'an absolute path': told({ path: '/etc/passwd' }),
    'a path with a NUL': told({ path: 'a\0b' }),
    'a name that is too long': told(directoryAt('x'.repeat(300))),
    'a file in a file': told(a, { path: 'a/b' }),
    'a file whose directory is not told': told({ path: 'd/a' }),
    'the same file twice': told(a, a),
    'files out of order': told({ path: 'b' }, a),
    'another name of a file outside': told({ path: 'b', linkname: '../../etc/passwd' }),
    'a packet that is none': { told: [Buffer.from([0xff, 0xff, 0xff])] },
  };
  for (const [what, lie] of Object.entries(lies)) {
    refused(await lied(siege, lie), what);
  }
});

const STEP = (mount: string) => `FROM busybox\nRUN --mount=${mount} true # ${Math.random()}\n`;

/** What a build asks its client for, and the Dockerfile that makes it ask. */
const QUESTIONS: Readonly<Record<string, readonly [path: string, dockerfile: string]>> = {
  secrets: [SECRET, STEP('type=secret,id=x,required')],
  agents: [AGENT, STEP('type=ssh,required')],
};

test('nonsense in the place of an answer is an error of that build', async (siege) => {
  const nonsense: Readonly<Record<string, Answering>> = {
    'a message without end': sending(Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1])),
    'a compressed message': sending(Buffer.from([1, 0, 0, 0, 1, 1])),
    nothing: sending(Buffer.alloc(0)),
    'an error of no code': refusing(99, 'odd'),
    'a closed stream': (stream) => stream.close(2),
  };
  const cases: Record<string, Answering> = {
    ...nonsense,
    garbage: replying(Buffer.from([0xff, 0xff, 0xff])),
  };
  for (const [how, answering] of Object.entries(cases)) {
    refused(
      await siege.solve(siege.client(), {
        files: { Dockerfile: QUESTIONS['secrets']![1] },
        answers: { [SECRET]: answering },
      }),
      how,
    );
  }
});

test('a client that never answers waits alone, and its end ends its build', async (siege) => {
  for (const [what, [path, Dockerfile]] of Object.entries(QUESTIONS)) {
    const client = siege.client();
    const asked = Promise.withResolvers<void>();
    const building = siege.solve(client, {
      files: { Dockerfile },
      answers: {
        [FORWARD]: silent,
        [path]: (stream, headers) => {
          silent(stream, headers);
          asked.resolve();
        },
      },
    });
    const early = building.then(({ text }) => Promise.reject(new Error(`${what}: ${text}`)));
    early.catch(() => {});
    await Promise.race([asked.promise, early]);
    await siege.mustServe();
    client[Symbol.dispose]();
    assert.is((await building).code, undefined, what);
  }
});

test('two hundred sessions at once are served, and go', async (siege) => {
  const clients = Array.from({ length: 20 }, () => siege.client());
  const files = [{ path: 'Dockerfile', text: 'FROM scratch\nCOPY Dockerfile /\n' }];
  const answers = { [FILE_SYNC]: lending({ context: files, dockerfile: files }) };
  const built = await Promise.all(
    clients.flatMap((client) =>
      Array.from({ length: 10 }, () => {
        const session = client.session(answers).id;
        const ref = siege.ref();
        return client.call(Control.method.solve, { ref, session, frontend: 'dockerfile.v0' });
      }),
    ),
  );
  assert.is(built.length, 200);
  for (const { code, text } of built) assert.is(code, 0, text);
});

test('names are used once, and unknown ones are not found', async (siege) => {
  const client = siege.client();
  const ref = siege.ref();
  const headers = { 'buildkit-controlapi-buildid': ref };
  const first = client.call(Control.method.solve, { ref });
  await client.call(LLBBridge.method.ping, {}, headers);
  refused(await client.call(Control.method.solve, { ref }), 'a second build of one name');
  await client.call(LLBBridge.method.return, {}, headers);
  assert.is((await first).code, 0);
  const calls = [
    client.call(Control.method.status, { ref: 'never' }),
    client.call(LLBBridge.method.ping, {}),
    client.call(Control.method.solve, {
      ref: siege.ref(),
      session: 'no',
      frontend: 'dockerfile.v0',
    }),
    client.call(Control.method.updateBuildHistory, { ref: '../../../etc/passwd', delete: true }),
  ];
  for (const [at, answer] of (await Promise.all(calls)).entries()) refused(answer, `call ${at}`);
});

test.run();
