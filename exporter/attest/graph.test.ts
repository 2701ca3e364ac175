import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { exec, fileChanges, imageSource, merge } from '../../solver/llb/builder.ts';
import { type DraftEdge, seal } from '../../solver/llb/draft.ts';
import { COPY } from '../../solver/testing/graph.ts';
import { graphSteps } from './graph.ts';

/** What Docker 28.5 writes for the ops (`buildx build --provenance=mode=max`), by their kind. */

const base = imageSource('base', { note: {} });
const copy = { ...COPY, src: '/Dockerfile', dest: '/x' };
const shown = {
  src: '/Dockerfile',
  dest: '/x',
  mode: -1,
  followSymlink: true,
  dirCopyContents: true,
  createDestPath: true,
  allowWildcard: true,
  allowEmptyWildcard: true,
  timestamp: -1,
};

/** The op of `edge` in the provenance. */
function opOf(edge: DraftEdge): unknown {
  const sealed = seal(edge, { os: 'linux', architecture: 'amd64' });
  const step = graphSteps(sealed).llbDefinition.at(-2) as { readonly op: { readonly Op: unknown } };
  return JSON.parse(JSON.stringify(step.op.Op));
}

test('a process has its mounts and limits, without zeros and without proxies', () => {
  const lent = { uid: 0, gid: 0, optional: true };
  const step = exec({
    root: base,
    args: ['/bin/sh', '-c', 'true'],
    env: [],
    cwd: '/',
    ulimits: [{ name: 'core', soft: 0, hard: 0 }],
    extraHosts: [{ host: 'h', ip: '1.2.3.4' }],
    proxyEnv: { httpProxy: 'http://user:password@proxy' },
    mounts: [
      { type: 'bind', from: base, dest: '/b', readonly: true },
      { type: 'cache', dest: '/c', cache: { id: '//c', sharing: 0 } },
      { type: 'tmpfs', dest: '/t', tmpfs: { size: 0 } },
      { type: 'ssh', dest: '', ssh: { ...lent, id: '', mode: 0o600 } },
      { type: 'secret', dest: '/run/secrets/x', secret: { ...lent, id: 'x', mode: 0o400 } },
    ],
    secretEnv: [],
    network: 1,
    security: 0,
    note: {},
  });
  assert.equal(opOf(step), {
    exec: {
      meta: {
        args: ['/bin/sh', '-c', 'true'],
        env: ['SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0'],
        cwd: '/',
        extraHosts: [{ Host: 'h', IP: '1.2.3.4' }],
        ulimit: [{ Name: 'core' }],
        removeMountStubsRecursive: true,
      },
      mounts: [
        { dest: '/' },
        { dest: '/b', output: -1, readonly: true },
        { input: -1, dest: '/c', output: -1, mountType: 3, cacheOpt: { ID: '//c' } },
        { input: -1, dest: '/t', output: -1, mountType: 4, TmpfsOpt: {} },
        {
          input: -1,
          dest: '/run/secrets/x',
          mountType: 1,
          secretOpt: { ID: 'x', mode: 256, optional: true },
        },
        {
          input: -1,
          dest: '/run/buildkit/ssh_agent.0',
          mountType: 2,
          SSHOpt: { mode: 384, optional: true },
        },
      ],
      network: 1,
    },
  });
});

test('an owner is a number or a name, and the number 0 is not written', () => {
  for (const [owner, written] of [
    [
      { user: { id: 0 }, group: { id: 6 } },
      { user: { User: {} }, group: { User: { byId: 6 } } },
    ],
    [{ user: { name: 'nobody' } }, { user: { User: { byName: { name: 'nobody' } } } }],
  ] as const) {
    const step = fileChanges(base, [{ kind: 'copy', from: base, copy, owner }], {});
    assert.equal(opOf(step), {
      file: {
        actions: [
          {
            input: 0,
            secondaryInput: 0,
            output: 0,
            Action: { copy: { ...shown, owner: written } },
          },
        ],
      },
    });
  }
});

test('the bytes of a file are base64, without the passwords of URLs in them', () => {
  const of = (data: string) =>
    fileChanges(
      undefined,
      [
        {
          kind: 'mkfile',
          mkfile: { path: '/EOF', mode: 420, data: Buffer.from(data), timestamp: -1 },
        },
      ],
      {},
    );
  assert.equal(opOf(of('hi\n')), {
    file: {
      actions: [
        {
          input: -1,
          secondaryInput: -1,
          output: 0,
          Action: { mkfile: { path: '/EOF', mode: 420, data: 'aGkK', timestamp: -1 } },
        },
      ],
    },
  });
  const secret = JSON.stringify(opOf(of('curl https://user:password@host.example/\n')));
  const [, data = ''] = /"data":"([^"]+)"/.exec(secret) ?? [];
  const text = Buffer.from(data, 'base64').toString();
  assert.match(text, 'host.example');
  assert.not.match(text, 'password');
});

test('a merge lists its inputs, of which the first has no number', () => {
  const upper = fileChanges(undefined, [{ kind: 'copy', from: base, copy }], {});
  assert.equal(opOf(merge([base, upper], {})!), { merge: { inputs: [{}, { input: 1 }] } });
});

test.run();
