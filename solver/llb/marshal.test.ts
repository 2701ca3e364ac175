import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { FileAction } from './file-op.ts';
import { marshalOp, marshalResult, unmarshalOp } from './marshal.ts';
import type { LlbOp, OpInput } from './ops.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const input = (name: string, index = 0): OpInput => ({ digest: digestOf(name), index });

const copy: FileAction['action'] = {
  kind: 'copy',
  copy: {
    src: '/a',
    dest: '/b/',
    owner: { user: { by: 'name', name: 'bob', input: -1 }, group: { by: 'id', id: 0 } },
    mode: -1,
    followSymlink: true,
    dirCopyContents: true,
    attemptUnpackDockerCompatibility: true,
    createDestPath: true,
    allowWildcard: true,
    allowEmptyWildcard: true,
    timestamp: 1_700_000_000_000_000_000n,
    includePatterns: ['x', ''],
    excludePatterns: ['*.md'],
    alwaysReplaceExistingDestPaths: true,
    modeStr: 'u+x',
    requiredPaths: ['/x'],
  },
};

const samples: readonly LlbOp[] = [
  {
    kind: 'source',
    source: { identifier: 'local://context', attrs: { b: '', a: 'é😀', '': 'x' } },
    constraints: {},
  },
  {
    kind: 'exec',
    platform: {
      os: 'windows',
      architecture: 'arm',
      variant: 'v7',
      osVersion: '10',
      osFeatures: ['f', 'g'],
    },
    constraints: { filter: ['one'] },
    exec: {
      meta: {
        args: ['', 'a'],
        env: ['A=1'],
        cwd: '/',
        user: 'u',
        proxyEnv: {},
        extraHosts: [{ host: 'h', ip: '::1' }],
        hostname: 'n',
        ulimit: [{ name: 'core', soft: -1, hard: 0 }],
        cgroupParent: '/c',
        removeMountStubsRecursive: true,
        validExitCodes: [0, 7, -1, 300],
      },
      mounts: [
        { input: 0, dest: '/', output: 0 },
        {
          input: -1,
          dest: '/c',
          output: -1,
          readonly: true,
          selector: '/s',
          mountType: 3,
          cache: { id: 'i', sharing: 2 },
          contentCache: 1,
        },
        { input: -1, dest: '/t', output: -1, mountType: 4, tmpfs: { size: 0 } },
        {
          input: -1,
          dest: '/s',
          output: 0,
          mountType: 1,
          secret: { id: 'k', uid: 1, gid: 0xffffffff, mode: 0o400, optional: true },
        },
        {
          input: -1,
          dest: '/a',
          output: 0,
          mountType: 2,
          ssh: { id: '', uid: 0, gid: 0, mode: 0, optional: false },
        },
      ],
      network: 1,
      security: 1,
      secretenv: [{ id: 'k', name: 'K', optional: true }],
      cdiDevices: [{ name: 'v/c=all', optional: true }],
    },
  },
  {
    kind: 'file',
    constraints: {},
    file: {
      actions: [
        { input: 0, secondaryInput: 1, output: -1, action: copy },
        {
          input: 2,
          secondaryInput: -1,
          output: -1,
          action: {
            kind: 'mkfile',
            mkfile: { path: '/f', mode: 0o644, data: new Uint8Array([0, 255]), timestamp: -1 },
          },
        },
        {
          input: 3,
          secondaryInput: -1,
          output: -1,
          action: {
            kind: 'mkdir',
            mkdir: { path: '/d', mode: 0, makeParents: true, owner: {}, timestamp: 0 },
          },
        },
        {
          input: 4,
          secondaryInput: -1,
          output: -1,
          action: { kind: 'rm', rm: { path: '/r', allowNotFound: true, allowWildcard: true } },
        },
        {
          input: 5,
          secondaryInput: -1,
          output: 0,
          action: { kind: 'symlink', symlink: { oldpath: 'o', newpath: 'n', timestamp: -1 } },
        },
      ],
    },
  },
  { kind: 'merge', merge: { inputs: [{ input: 0 }, { input: 1 }] }, constraints: {} },
  { kind: 'diff', diff: { lower: { input: 0 }, upper: { input: -1 } } },
  {
    kind: 'build',
    build: { builder: -1, inputs: { 'buildkit.llb.definition': { input: 0 } }, attrs: { a: 'b' } },
    constraints: {},
  },
];

test('marshalling an op and unmarshalling it gives the same op', () => {
  for (const op of samples) {
    const inputs = [input('a'), input('b', 3)];
    const bytes = marshalOp(op, inputs);
    const read = unmarshalOp(bytes);
    assert.equal(read, { op, inputs });
    assert.is(hex(marshalOp(read.op as LlbOp, read.inputs)), hex(bytes));
  }
});

test('a oneof comes after all other fields, an empty message is kept, a zero is not', () => {
  const op: LlbOp = {
    kind: 'merge',
    merge: { inputs: [{ input: 0 }, { input: 1 }] },
    constraints: {},
  };
  assert.is(hex(marshalOp(op, [])), '5a00' + '3206' + '0a00' + '0a020801');
});

test('a user id of 0 is written, because it is a member of a oneof', () => {
  const mkdir = {
    path: '',
    mode: 0,
    makeParents: false,
    owner: { user: { by: 'id' as const, id: 0 } },
    timestamp: 0,
  };
  const op: LlbOp = {
    kind: 'file',
    file: {
      actions: [{ input: 0, secondaryInput: 0, output: 0, action: { kind: 'mkdir', mkdir } }],
    },
  };
  assert.match(hex(marshalOp(op, [])), /22040a021000$/);
});

test('map keys are written in the order of their bytes, not as they were set', () => {
  const of = (attrs: Record<string, string>) =>
    hex(marshalOp({ kind: 'source', source: { identifier: 'x', attrs } }, []));
  assert.is(
    of({ a: '1', b: '2', '\u{10000}': '3', '\uffff': '4' }),
    of({ '\uffff': '4', '\u{10000}': '3', b: '2', a: '1' }),
  );
  const bytes = of({ '\u{10000}': '3', '\uffff': '4' });
  assert.ok(
    bytes.indexOf(hex(Buffer.from('\uffff'))) < bytes.indexOf(hex(Buffer.from('\u{10000}'))),
    'UTF-8 order, not UTF-16 order',
  );
});

test('a negative number takes ten bytes', () => {
  const op: LlbOp = { kind: 'diff', diff: { lower: { input: -1 }, upper: { input: 0 } } };
  assert.is(hex(marshalOp(op, [])), `3a0f0a0b08${'ff'.repeat(9)}011200`);
});

test('the entry for the result has an input and no kind', () => {
  const bytes = marshalResult(input('a'));
  assert.equal(unmarshalOp(bytes), { op: undefined, inputs: [input('a')] });
});

test('of a field or a oneof that is given twice the last one counts', () => {
  const [source, , , merge] = samples as readonly [LlbOp, LlbOp, LlbOp, LlbOp];
  const twice = Buffer.concat([marshalOp(merge, []), marshalOp(source, [])]);
  assert.equal(unmarshalOp(twice).op, source);
});

test('unknown fields are skipped', () => {
  const bytes = marshalOp(samples[0] as LlbOp, []);
  const unknown = Buffer.from(
    'f80601' + 'fa060141' + 'fd0600000000' + 'f9060000000000000000',
    'hex',
  );
  assert.equal(unmarshalOp(Buffer.concat([bytes, unknown])).op, samples[0]);
});

const readsOrRefuses = (bytes: Uint8Array): boolean => {
  try {
    unmarshalOp(bytes);
  } catch (error) {
    return error instanceof KilnError && error.code === 'KILN_LLB_MALFORMED';
  }
  return true;
};

test('arbitrary bytes are read or refused with KILN_LLB_MALFORMED', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), readsOrRefuses), { numRuns: 500 });
});

test('a truncated or changed op is read or refused with KILN_LLB_MALFORMED', () => {
  const all = samples.map((op) => marshalOp(op, [input('a')]));
  const change = fc.record({
    which: fc.nat(all.length - 1),
    at: fc.nat(2000),
    byte: fc.nat(255),
    cut: fc.boolean(),
  });
  fc.assert(
    fc.property(change, ({ which, at, byte, cut }) => {
      const bytes = Buffer.from(all[which] as Uint8Array);
      const place = at % bytes.length;
      bytes[place] = byte;
      return readsOrRefuses(cut ? bytes.subarray(0, place) : bytes);
    }),
    { numRuns: 1000 },
  );
});

test('a field that is longer than its message is refused', () => {
  assert.throws(
    () => unmarshalOp(Buffer.from('0affffffffffffffffff01', 'hex')),
    (error: unknown) => error instanceof KilnError && /longer than its message/.test(error.message),
  );
});

test.run();
