import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import {
  diff,
  type ExecSpec,
  exec,
  fileChanges,
  imageSource,
  localSource,
  merge,
} from './builder.ts';
import { definitionJson, marshalDefinition, toDefinition } from './definition.ts';
import { type DraftEdge, seal } from './draft.ts';
import type { LlbEdge } from './graph.ts';
import { marshalOp, marshalResult } from './marshal.ts';
import { parseDefinition } from './parse.ts';
import { topological } from './walk.ts';
import { encode, writeBytes } from './wire.ts';

const AMD64 = { os: 'linux', architecture: 'amd64' };
const source = { name: 'Dockerfile', text: 'FROM x\nRUN a\\\n b\n' };
const lines = (first: number, last: number) => ({
  source,
  start: { line: first, character: 0 },
  end: { line: last, character: 0 },
});

const base = imageSource('docker.io/library/x:latest', {
  resolve: 'local',
  note: { name: 'FROM x', command: 'FROM x', locations: [lines(1, 1)] },
});
const context = localSource(
  'context',
  () => ({ sessionId: 's', sharedKeyHint: 'context', followPaths: ['a', '<b>'] }),
  {
    name: 'context',
  },
);

function run(
  root: DraftEdge | undefined,
  command: string,
  more: Partial<ExecSpec> = {},
): DraftEdge {
  const none = { mounts: [], secretEnv: [], network: 0, security: 0 } as const;
  return exec({
    ...none,
    root,
    args: [command],
    env: new Map([['A', '1']]),
    cwd: '/',
    note: { name: command, locations: [lines(2, 3)] },
    ...more,
  });
}

function copy(from: DraftEdge | undefined, to: DraftEdge | undefined, name = 'copy'): DraftEdge {
  const nothing = {
    followSymlink: false,
    dirCopyContents: false,
    attemptUnpackDockerCompatibility: false,
    createDestPath: true,
  };
  const wild = { allowWildcard: false, allowEmptyWildcard: false };
  return fileChanges(
    to,
    [
      {
        kind: 'copy',
        from,
        copy: { src: '/a', dest: '/a', mode: -1, timestamp: -1, ...nothing, ...wild },
      },
    ],
    {
      name,
    },
  );
}

const names = (edge: LlbEdge): (string | undefined)[] =>
  topological(edge).map((v) => v.metadata.description['llb.customname']);

test('marshalling a definition and parsing it gives the same graph', () => {
  const group = { id: 'g', name: 'n', weak: true };
  const layer = fileChanges(
    undefined,
    [{ kind: 'mkdir', mkdir: { path: '/d', mode: 1, makeParents: true, timestamp: -1 } }],
    {
      name: 'l',
      progressGroup: group,
      ignoreCache: true,
    },
  );
  const edge = seal(
    merge([copy(context, run(base, 'a')), layer], { name: 'm' }) as DraftEdge,
    AMD64,
  );
  const bytes = marshalDefinition(toDefinition(edge));
  const again = parseDefinition(bytes) as LlbEdge;
  assert.equal(definitionJson(again), definitionJson(edge));
  assert.is(Buffer.compare(marshalDefinition(toDefinition(again)), bytes), 0);
});

test('an empty result makes an empty definition', () => {
  assert.is(marshalDefinition(toDefinition(undefined)).length, 0);
  assert.is(parseDefinition(new Uint8Array()), undefined);
  assert.equal(definitionJson(undefined), []);
});

test('the last entry names the result and the capabilities of the graph', () => {
  const edge = seal(run(base, 'a', { note: { name: 'a', ignoreCache: true } }), AMD64);
  const definition = toDefinition(edge);
  const last = definition.def.at(-1) as Uint8Array;
  assert.is(Buffer.compare(last, marshalResult({ digest: edge.vertex.digest, index: 0 })), 0);
  assert.equal(definition.metadata.get(digestOf(last))?.caps, [
    'constraints',
    'platform',
    'meta.ignorecache',
    'meta.description',
  ]);
});

test('inputs come before readers; a file op has its base first, then its last source', () => {
  const [one, two] = ['one', 'two'].map((name) =>
    fileChanges(
      undefined,
      [{ kind: 'mkdir', mkdir: { path: name, mode: 0, makeParents: false, timestamp: 0 } }],
      { name },
    ),
  );
  const both = fileChanges(
    run(base, 'r'),
    [one, two].map(
      (from) =>
        ({
          kind: 'rm',
          rm: { path: '/', allowNotFound: false, allowWildcard: false },
          from,
        }) as const,
    ),
    { name: 'x' },
  );
  assert.equal(
    names(seal(both, AMD64)),
    ['FROM x', 'r', 'x'],
    'a step that copies nothing has no source',
  );
  const copies = copy(two, copy(one, run(base, 'r'), 'c1'), 'c2');
  assert.equal(names(seal(copies, AMD64)), ['FROM x', 'r', 'one', 'c1', 'two', 'c2']);
});

test('equal ops become one vertex with the last name and the locations of both', () => {
  const a = run(base, 'same', { note: { name: 'first', locations: [lines(1, 1)] } });
  const b = run(base, 'same', { note: { name: 'second', locations: [lines(2, 3)] } });
  const edge = seal(copy(b, a), AMD64);
  assert.is(topological(edge).length, 3);
  const [root, ...others] = edge.vertex.inputs;
  assert.is(edge.vertex.op.kind, 'file');
  assert.equal(others, []);
  assert.is(root?.vertex.metadata.description['llb.customname'], 'second');
  assert.equal(
    root?.vertex.metadata.locations.map((l) => l.start.line),
    [1, 2],
  );
});

test('an exec lists its mounts by path and each input once', () => {
  const mounts = [
    { type: 'bind', from: context, dest: '/z', readonly: true },
    { type: 'bind', from: base, dest: '/b' },
    { type: 'bind', from: context, dest: '/a', selector: '/s', readonly: true },
  ] as const;
  const { op, inputs } = seal(run(base, 'x', { mounts }), AMD64).vertex;
  assert.ok(op.kind === 'exec');
  assert.equal(
    op.exec.mounts.map((m) => [m.dest, m.input, m.output]),
    [
      ['/', 0, 0],
      ['/a', 1, -1],
      ['/b', 0, -1],
      ['/z', 1, -1],
    ],
  );
  assert.is(inputs.length, 2);
});

test('the options of a local source are read only when the graph is sealed', () => {
  const paths: string[] = [];
  const late = localSource(
    'context',
    () => ({ sessionId: 's', sharedKeyHint: 'h', followPaths: paths }),
    {},
  );
  const edge = copy(late, undefined);
  paths.push('later');
  const { op } = seal(edge, AMD64).vertex.inputs[0]?.vertex ?? {};
  assert.is(op?.kind === 'source' && op.source.attrs['local.followpaths'], '["later"]');
});

test('JSON in attributes is written as Go writes it', () => {
  const { op } = seal(context, AMD64).vertex;
  assert.is(
    op.kind === 'source' && op.source.attrs['local.followpaths'],
    '["a","\\u003cb\\u003e"]',
  );
});

test('a merge leaves out empty trees and is made only for two or more', () => {
  assert.is(merge([undefined, base], {}), base);
  assert.is(merge([undefined], {}), undefined);
  assert.is(diff(undefined, base, {}), base);
});

test('a chain of many thousands of vertices does not overflow the stack', () => {
  let tree = base;
  for (let i = 0; i < 15_000; i++) tree = run(tree, 'x');
  const edge = seal(tree, AMD64);
  assert.is(topological(edge).length, 15_001);
  assert.is(
    topological(parseDefinition(marshalDefinition(toDefinition(edge))) as LlbEdge).length,
    15_001,
  );
});

const definition = (...ops: readonly Uint8Array[]): Uint8Array =>
  encode((out) => {
    for (const op of ops) writeBytes(out, 1, op);
  });
const refused = (bytes: Uint8Array, why: RegExp): void => {
  assert.throws(
    () => parseDefinition(bytes),
    (error: unknown) =>
      error instanceof KilnError && error.code === 'KILN_LLB_MALFORMED' && why.test(error.message),
  );
};

test('a definition with invalid references is refused with its reason', () => {
  const leaf = marshalOp({ kind: 'source', source: { identifier: 'x', attrs: {} } }, []);
  const input = { digest: digestOf(leaf), index: 0 };
  const result = marshalResult(input);
  refused(definition(leaf), /result is missing/);
  refused(definition(result, leaf), /not defined before/);
  refused(definition(leaf, result, leaf), /after the result/);
  refused(definition(leaf, marshalResult({ ...input, index: -1 })), /output -1/);
  refused(
    definition(
      leaf,
      marshalOp({ kind: 'merge', merge: { inputs: [{ input: 1 }] } }, [input]),
      result,
    ),
    /input 1 of 1/,
  );
  refused(
    definition(
      marshalOp({ kind: 'diff', diff: { lower: { input: -2 }, upper: { input: 0 } } }, []),
      result,
    ),
    /input -2/,
  );
  refused(
    definition(
      marshalOp({ kind: 'source', source: { identifier: 'x', attrs: {} } }, [input]),
      result,
    ),
    /not defined/,
  );
  refused(definition(leaf, Buffer.from('ff', 'hex')), /cut off/);
});

test('an action may read the results of earlier actions and no others', () => {
  const rm = { kind: 'rm', rm: { path: '/', allowNotFound: false, allowWildcard: false } } as const;
  const of = (second: number) =>
    marshalOp(
      {
        kind: 'file',
        file: {
          actions: [
            { input: -1, secondaryInput: -1, output: -1, action: rm },
            { input: second, secondaryInput: -1, output: 0, action: rm },
          ],
        },
      },
      [],
    );
  const whole = (op: Uint8Array) =>
    definition(op, marshalResult({ digest: digestOf(op), index: 0 }));
  assert.ok(parseDefinition(whole(of(0))));
  refused(whole(of(1)), /input 1 of 1/);
});

test.run();
