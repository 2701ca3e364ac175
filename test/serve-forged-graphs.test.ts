import * as assert from 'uvu/assert';
import { Control } from '../api/proto/control.gen.ts';
import { LLBBridge } from '../api/proto/gateway.gen.ts';
import { digestOf } from '../base/digest.ts';
import {
  encode,
  type MessageWriter,
  writeBytes,
  writeIntAlways,
  writeTextAlways,
} from '../solver/llb/wire.ts';
import { type Answer, framed, type messageOf, pathOf, type RawClient } from './raw-client.ts';
import { type Siege, siegeSuite } from './siege.ts';

/** Definitions and requests that are forged, huge or nonsense. */
const test = siegeSuite('graphs of hostile clients');

type Part = (out: MessageWriter) => void;
const int =
  (field: number, value: number | bigint): Part =>
  (out) =>
    writeIntAlways(out, field, value);
const text =
  (field: number, value: string): Part =>
  (out) =>
    writeTextAlways(out, field, value);
const bytes =
  (field: number, value: Uint8Array): Part =>
  (out) =>
    writeBytes(out, field, value);
const inner =
  (field: number, ...parts: Part[]): Part =>
  (out) =>
    out.writeBytesField(field, message(...parts));

const repeated =
  (part: Part, count: number): Part =>
  (out) => {
    for (let at = 0; at < count; at++) part(out);
  };

function message(...parts: Part[]): Uint8Array {
  return encode((out) => {
    for (const part of parts) part(out);
  });
}

const NOT_UTF8 = Buffer.from('61ff62c328', 'hex');
const OP = { input: 1, exec: 2, source: 3, file: 4, build: 5, merge: 6, diff: 7, platform: 10 };
const ZEROS = `sha256:${'0'.repeat(64)}`;

const input = (digest: string, index = 0): Part => inner(OP.input, text(1, digest), int(2, index));
const platform = (os = 'linux', architecture = 'amd64'): Part =>
  inner(OP.platform, text(1, architecture), text(2, os));

/** FileOp: one action. */
function fileOp(inputs: readonly Part[], kind: number, action: Part[], first = -1): Uint8Array {
  const acted = inner(2, int(1, first), int(2, -1), int(3, 0), inner(kind, ...action));
  return message(...inputs, inner(OP.file, acted), platform());
}
const MKFILE = 5;
const MKDIR = 6;
const mkfile = (path: string, data: Uint8Array = Buffer.from('x'), mode: number | bigint = 0o644) =>
  fileOp([], MKFILE, [text(1, path), int(2, mode), bytes(3, data), int(5, -1)]);
const source = (identifier: string, ...attrs: [string, string][]): Uint8Array =>
  message(
    inner(
      OP.source,
      text(1, identifier),
      ...attrs.map(([name, value]) => inner(2, text(1, name), text(2, value))),
    ),
    platform(),
  );
/** ExecOp on a base: its process and its mounts. */
const exec = (base: Uint8Array, meta: Part[], mounts: Part[][]): Uint8Array =>
  message(
    input(digestOf(base)),
    inner(OP.exec, inner(1, ...meta), ...mounts.map((mount) => inner(2, ...mount))),
    platform(),
  );
const ROOT = [int(1, 0), text(3, '/'), int(4, 0)];
const TRUE = [text(1, '/bin/true'), text(3, '/')];
const FILE = mkfile('/f');

/** A definition whose result is an output of its last op. */
function definition(ops: readonly Uint8Array[], output = 0, ...rest: Part[]): Uint8Array {
  const last = ops.at(-1);
  const result = last ? [message(input(digestOf(last), output))] : [];
  return message(...[...ops, ...result].map((op) => bytes(1, op)), ...rest);
}

const raw = (...ops: Uint8Array[]): Uint8Array => message(...ops.map((op) => bytes(1, op)));

/** A refusal that a user can read: no stack, no bug. */
function refused(answer: Answer, what: string, pattern?: RegExp): void {
  assert.ok(answer.code, `${what}: ${answer.code} ${answer.text}`);
  assert.not.match(
    answer.text,
    /TypeError|RangeError|ERR_|undefined|\bat [\w.]+ \(|KILN_BUG/,
    what,
  );
  if (pattern) assert.match(answer.text, pattern, what);
}

/** Solves a graph in both ways: as the request of a build, and by a call that drives one. */
async function solve(siege: Siege, client: RawClient, graph: Uint8Array): Promise<Answer[]> {
  const ref = siege.ref();
  const headers = { 'buildkit-controlapi-buildid': ref };
  const driven = client.call(Control.method.solve, { ref });
  const asked = client.call(
    LLBBridge.method.solve,
    { definition: graph, evaluate: true, allowResultReturn: true },
    headers,
  );
  const direct = client.call(Control.method.solve, { ref: siege.ref(), definition: graph });
  const answers = [await direct, await asked];
  await client.call(LLBBridge.method.return, { error: { code: 1, message: 'over' } }, headers);
  await driven;
  return answers;
}

test('forged graphs are refused with a reason', async (siege) => {
  const client = siege.client();
  const one = message(input(ZEROS), inner(OP.file));
  const two = message(input(digestOf(one)), inner(OP.file));
  const big = '9'.repeat(30);
  const forged: Readonly<Record<string, Uint8Array>> = {
    garbage: Buffer.from([1, 2, 3]),
    'cut off': definition([FILE]).subarray(0, 20),
    'input that is not there': raw(message(input(ZEROS))),
    'two ops that need each other': raw(two, one, message(input(digestOf(two)))),
    'an op that needs a later one': raw(two, FILE, message(input(digestOf(two)))),
    'input without a digest': raw(message(input('md5:x'))),
    'input whose digest is a path': raw(message(input('sha256:../../../../etc/passwd'))),
    'input whose digest is no text': raw(message(inner(OP.input, bytes(1, NOT_UTF8)))),
    'no result': raw(FILE),
    'two results': raw(FILE, message(input(digestOf(FILE))), message(input(digestOf(FILE)))),
    'an output below zero': definition([FILE], -1),
    'an output that is not there': definition([FILE], 99),
    'an output far beyond': definition([FILE], 2 ** 31 - 1),
    'an op of no kind': definition([message(platform())]),
    'an op of an unknown kind': definition([message(inner(77, text(1, 'x')))]),
    'an op of two kinds': definition([message(inner(OP.source, text(1, 'x')), inner(OP.file))]),
    'a kind that is a number': definition([message(int(OP.exec, 1))]),
    'a source with inputs': definition([
      FILE,
      message(input(digestOf(FILE)), inner(OP.source, text(1, 'docker-image://x'))),
    ]),
    'a build op': definition([FILE, message(input(digestOf(FILE)), inner(OP.build, int(1, 0)))]),
    'merge of inputs that are not there': definition([
      message(inner(OP.merge, inner(1, int(1, 5)))),
    ]),
    'diff of inputs that are not there': definition([
      message(inner(OP.diff, inner(1, int(1, -9)), inner(2, int(1, 7)))),
    ]),
    'file action of a later one': definition([fileOp([], MKFILE, [text(1, '/f')], 5)]),
    'file action of an input below -1': definition([fileOp([], MKFILE, [text(1, '/f')], -7)]),
    'file op without actions': definition([message(inner(OP.file), platform())]),
    'file name that is no text': definition([fileOp([], MKFILE, [bytes(1, NOT_UTF8)])]),
    'file name with a NUL': definition([mkfile('/a\0b')]),
    'file name without end': definition([mkfile(`/${'x'.repeat(5000)}`)]),
    'path without end': definition([mkfile('/x'.repeat(100_000))]),
    'exec without a process': definition([FILE, exec(FILE, [], [ROOT])]),
    'exec without a root': definition([FILE, exec(FILE, TRUE, [])]),
    'exec on an input that is not there': definition([
      FILE,
      exec(FILE, TRUE, [[int(1, 9), text(3, '/')]]),
    ]),
    'exec whose output is far beyond': definition([
      FILE,
      exec(FILE, TRUE, [[int(1, 0), text(3, '/'), int(4, 2 ** 30)]]),
    ]),
    'exec in a directory that is no path': definition([
      FILE,
      exec(FILE, [text(1, 'x'), text(3, '../..')], [ROOT]),
    ]),
    'exec with arguments with NUL': definition([
      FILE,
      exec(FILE, [text(1, '/bin/true\0x'), text(3, '/')], [ROOT]),
    ]),
    'exec with arguments that are no text': definition([
      FILE,
      exec(FILE, [bytes(1, NOT_UTF8), text(3, '/')], [ROOT]),
    ]),
    'exec with an environment that is none': definition([
      FILE,
      exec(FILE, [...TRUE, text(2, 'noequals'), text(2, '=x\0')], [ROOT]),
    ]),
    'exec of a user that is not there': definition([
      FILE,
      exec(FILE, [...TRUE, text(4, 'nobody:../x')], [ROOT]),
    ]),
    'mount outside': definition([
      FILE,
      exec(FILE, TRUE, [ROOT, [int(1, 0), text(2, '/../../../../etc'), text(3, '/x')]]),
    ]),
    'mount of an unknown type': definition([
      FILE,
      exec(FILE, TRUE, [ROOT, [int(1, -1), text(3, '/x'), int(6, 99)]]),
    ]),
    'network of an unknown mode': definition([
      FILE,
      message(
        input(digestOf(FILE)),
        inner(OP.exec, inner(1, ...TRUE), inner(2, ...ROOT), int(3, 99)),
      ),
    ]),
    'process without a sandbox': definition([
      FILE,
      message(
        input(digestOf(FILE)),
        inner(OP.exec, inner(1, ...TRUE), inner(2, ...ROOT), int(4, 1)),
      ),
    ]),
    'a source of no kind': definition([source('')]),
    'a source of an unknown kind': definition([source('gopher://x')]),
    'an image without a name': definition([source('docker-image://')]),
    'an image whose name is a path': definition([
      source('docker-image://../../etc/passwd@sha256:x'),
    ]),
    'a directory that nobody lends': definition([source('local://../../../etc')]),
    'patterns that are no list': definition([
      source('local://c', ['local.includepattern', '{"a":1}']),
    ]),
    'a layout that is nobody’s': definition([source(`oci-layout://../../x@${ZEROS}`)]),
    'a file by http from nowhere': definition([
      source('http://127.0.0.1:1/x', ['http.checksum', 'sha256:zz']),
    ]),
    'a mode that is none': definition([source('http://127.0.0.1:1/x', ['http.perm', big])]),
    'git from nowhere': definition([
      source('git://-oProxyCommand=x/y.git', ['git.fullurl', '--upload-pack=touch /tmp/x']),
    ]),
    'platform without a CPU': definition([
      FILE,
      message(
        input(digestOf(FILE)),
        inner(OP.exec, inner(1, ...TRUE), inner(2, ...ROOT)),
        platform('plan9', 'z80'),
      ),
    ]),
  };
  for (const [what, graph] of Object.entries(forged))
    for (const answer of await solve(siege, client, graph)) refused(answer, what);
});

test('paths of files stay in the tree, whatever they say', async (siege) => {
  const client = siege.client();
  const odd: readonly Uint8Array[] = [
    mkfile('/../../../../tmp/kiln-hostile'),
    mkfile('../../../../tmp/kiln-hostile'),
    mkfile('/f', Buffer.alloc(15 << 20)),
    mkfile('/f', Buffer.from('x'), -1n),
    mkfile('/f', Buffer.from('x'), 2n ** 31n - 1n),
    fileOp([], MKDIR, [text(1, '/a/../../../b/./c'), int(2, 0o7777), int(3, 1), int(5, 2n ** 62n)]),
    fileOp([], MKDIR, [text(1, '/'), int(2, 0)]),
  ];
  for (const [at, op] of odd.entries())
    for (const answer of await solve(siege, client, definition([op])))
      if (answer.code !== 0) refused(answer, `op ${at}`);
  const cleaned = fileOp([], MKDIR, [
    text(1, '/a/../../../b/./c'),
    int(2, 0o755),
    int(3, 1),
    int(5, -1),
  ]);
  for (const { code, text: why } of await solve(siege, client, definition([cleaned])))
    assert.is(code, 0, why);
});

test('huge graphs are built or refused, and the server goes on meanwhile', async (siege) => {
  const chain: Uint8Array[] = [FILE];
  for (let at = 0; at < 600; at++)
    chain.push(
      fileOp([input(digestOf(chain.at(-1)!))], MKDIR, [text(1, `/d${at}`), int(2, 0o755)], 0),
    );
  const wide = Array.from({ length: 300 }, (_, at) => mkfile(`/f${at}`));
  const merged = message(
    ...wide.map((op) => input(digestOf(op))),
    inner(OP.merge, ...wide.map((_, at) => inner(1, int(1, at)))),
  );
  const actions = Array.from({ length: 100_000 }, (_, at) =>
    inner(
      2,
      int(1, at - 1),
      int(2, -1),
      int(3, 0),
      inner(MKDIR, text(1, `/d${at % 5}`), int(2, 0o755), int(3, 1)),
    ),
  );
  const described = (value: string, count: number) =>
    inner(2, text(1, digestOf(FILE)), (out) =>
      out.writeBytesField(
        2,
        encode((entries) => {
          for (let at = 0; at < count; at++) inner(2, text(1, `k${at}`), text(2, value))(entries);
        }),
      ),
    );
  const range = inner(2, inner(1, int(1, 1)), inner(2, int(1, 2)));
  const located = (index: number, ranges: number) =>
    inner(
      3,
      inner(1, text(1, digestOf(FILE)), inner(2, inner(1, int(1, index), repeated(range, ranges)))),
      inner(2, text(1, 'Dockerfile'), bytes(4, Buffer.alloc(1 << 20, 'x\n'))),
    );
  const huge: Readonly<Record<string, Uint8Array>> = {
    'endless work in a chain': definition(chain),
    'endless work side by side': definition([...wide, merged]),
    'one op of many actions': definition([message(inner(OP.file, ...actions), platform())]),
    'metadata of 15 MB': definition([FILE], 0, described('x'.repeat(15 << 20), 1)),
    'metadata of many words': definition([FILE], 0, described('x', 200_000)),
    'places of a text that is not there': definition([FILE], 0, located(-5, 1), located(99, 1)),
    'many places': definition([FILE], 0, located(0, 500_000)),
    'more inputs than anybody has': definition([
      FILE,
      message(repeated(input(digestOf(FILE)), 2000), inner(OP.merge)),
    ]),
    'more ops than anybody writes': definition(
      Array.from({ length: 30_000 }, (_, at) => mkfile(`/${at}`)),
    ),
    'the same op again and again': definition(Array(15_000).fill(FILE)),
  };
  for (const [what, graph] of Object.entries(huge)) {
    using client = siege.client();
    const answers = solve(siege, client, graph);
    const gone = answers.catch(() => []);
    await siege.mustServe();
    if (what.startsWith('endless')) client[Symbol.dispose]();
    for (const { code, text } of await gone) {
      if (code) refused({ code, text, messages: [] }, what);
    }
  }
});

test('requests with values that mean nothing are refused by name', async (siege) => {
  const client = siege.client();
  const request = (given: Parameters<typeof messageOf<typeof Control.method.solve.input>>[1]) =>
    client.call(Control.method.solve, { ref: siege.ref(), ...given });
  const many = (count: number, text: (at: number) => string) =>
    Array.from({ length: count }, (_, at) => text(at));
  const attrs: Readonly<Record<string, Record<string, string>>> = {
    'many platforms': { platform: many(100_000, (at) => `linux/cpu${at}`).join() },
    'a platform that is none': { platform: '\u{1f937}/\0' },
    'a limit that is none': { ulimit: 'nofile=1:2:3' },
    'hosts that are none': { 'add-hosts': 'a=b=c' },
    'a size that is none': { 'shm-size': '-1' },
    'a context that is none': { 'context:x': '\0' },
    'a graph that is not sent': { 'context:x': 'input:y' },
    'a network that is none': { 'force-network-mode': 'x' },
    'a time that is none': { 'build-arg:SOURCE_DATE_EPOCH': '-9e99' },
    'a frontend that is none': { source: '\0', cmdline: '\0' },
    'an attestation that is none': { 'attest:sbom': 'generator=\0' },
    'contexts without end': Object.fromEntries(
      many(10_000, (at) => `context:c${at}`).map((name) => [name, 'local:x']),
    ),
  };
  for (const [what, frontendAttrs] of Object.entries(attrs))
    for (const frontend of ['dockerfile.v0', 'gateway.v0'])
      refused(await request({ frontend, frontendAttrs }), what);
  const graph = definition([FILE]);
  refused(await request({ frontend: 'x'.repeat(100_000) }), 'a long name');
  refused(await request({ session: 'x'.repeat(100_000), definition: graph }), 'a session');
  refused(await request({ entitlements: ['all.of.them'], definition: graph }), 'rights');
  refused(
    await request({ frontend: 'dockerfile.v0', frontendInputs: { x: Buffer.from([9]) } }),
    'inputs',
  );
  const outputs: readonly { type: string; attrs: Record<string, string> }[][] = [
    [{ type: 'x', attrs: {} }],
    [{ type: '', attrs: {} }],
    [{ type: 'local', attrs: {} }],
    [{ type: 'oci', attrs: { tar: 'false' } }],
    [{ type: 'image', attrs: { name: '../../x' } }],
    [{ type: 'image', attrs: { compression: '\0' } }],
    [{ type: 'image', attrs: { push: 'true', name: '127.0.0.1:1/x' } }],
    Array(2000).fill({ type: 'oci', attrs: {} }),
  ];
  for (const exporters of outputs)
    refused(await request({ definition: graph, exporters }), JSON.stringify(exporters[0]));
  const caches = [
    { type: 'x', attrs: {} },
    { type: 'local', attrs: { dest: '/etc' } },
    { type: 'registry', attrs: {} },
  ];
  for (const entry of caches)
    refused(
      await request({ definition: graph, cache: { exports: [entry] } }),
      JSON.stringify(entry),
    );
  // A cache that cannot be read is left out.
  const imports = [
    ...caches,
    ...Array(1000).fill({ type: 'local', attrs: { src: '/etc', digest: ZEROS } }),
  ];
  assert.is((await request({ definition: graph, cache: { imports } })).code, 0);
});

test('texts that are not UTF-8 are refused where they are texts', async (siege) => {
  const client = siege.client();
  const solveAt = pathOf(Control.method.solve);
  const wrongs: readonly Uint8Array[] = [
    message(bytes(1, NOT_UTF8)),
    message(text(1, siege.ref()), bytes(5, NOT_UTF8)),
    message(
      text(1, siege.ref()),
      text(6, 'dockerfile.v0'),
      inner(7, bytes(1, NOT_UTF8), text(2, 'x')),
    ),
    message(
      text(1, siege.ref()),
      text(6, 'dockerfile.v0'),
      inner(7, text(1, 'target'), bytes(2, NOT_UTF8)),
    ),
    message(text(1, siege.ref()), bytes(2, definition([FILE])), inner(13, bytes(1, NOT_UTF8))),
    message(
      text(1, siege.ref()),
      bytes(
        2,
        definition(
          [FILE],
          0,
          inner(
            2,
            text(1, digestOf(FILE)),
            inner(2, inner(2, text(1, 'llb.customname'), bytes(2, NOT_UTF8))),
          ),
        ),
      ),
    ),
    message(
      text(1, siege.ref()),
      bytes(2, definition([FILE], 0, inner(3, inner(2, bytes(1, NOT_UTF8))))),
    ),
  ];
  for (const [at, wrong] of wrongs.entries()) {
    const answer = await client.send(solveAt, framed(wrong));
    refused(answer, `request ${at}`);
  }
});

test.run();
