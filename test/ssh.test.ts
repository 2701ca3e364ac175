import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cat, Rig, steps } from './rig.ts';
import { hostPrograms, SshSetting, whyNoSsh } from './sshd.ts';

const reason = whyNoSsh();
const ssh = (name: string, body: () => Promise<void>) => {
  if (reason !== undefined) console.log(`SKIP ${name}: ${reason}`);
  else test(name, body);
};

/** The beginning of a Dockerfile whose steps use ssh and git of this host, and its network. */
const HEAD = `
FROM busybox
RUN mkdir -p /root/.ssh && echo 'root:x:0:0::/root:/bin/sh' >/etc/passwd && \
echo 'app:x:1000:1000::/tmp/app:/bin/sh' >>/etc/passwd
ENV PATH=/host/bin:$PATH GIT_EXEC_PATH=/host/bin
ENV GIT_SSH_COMMAND="ssh -F none -o BatchMode=yes -o UserKnownHostsFile=/known_hosts"
`;
const MOUNTS = '--mount=type=bind,from=tools,target=/host --mount=type=ssh';

async function setting() {
  const rig = await Rig.create('busybox');
  const at = await SshSetting.start(rig.path('ssh'));
  hostPrograms(rig.path('tools'), '/usr/bin/ssh', '/usr/bin/ssh-add', '/usr/bin/git');
  const build = (dockerfile: string, flags: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    rig.write('context', { Dockerfile: HEAD + dockerfile });
    const tools = [
      '--build-context',
      `tools=${rig.path('tools')}`,
      '--network',
      'host',
      '--progress=plain',
    ];
    return rig.kiln(['build', ...tools, ...flags, rig.path('context')], {
      env: { SSH_AUTH_SOCK: '', ...env },
    });
  };
  return {
    rig,
    at,
    build,
    async [Symbol.asyncDispose]() {
      await at[Symbol.asyncDispose]();
      await rig[Symbol.asyncDispose]();
    },
  };
}

const KEYS = [
  ['ed25519'],
  ['rsa', '-b', '2048'],
  ['ecdsa', '-b', '521'],
  ['rsa', '-b', '2048', '-m', 'PEM'],
] as const;
for (const user of ['root', 'app'])
  ssh(
    `git clone by ssh in a RUN of ${user}, with an agent and with keys of all kinds from disk`,
    async () => {
      await using t = await setting();
      const url = t.at.repository('file', 'by ssh');
      const clone = `
RUN printf '%s' "${t.at.knownHosts.trim()}" >/known_hosts
USER ${user}
RUN ${MOUNTS} git clone ${url} /tmp/r && cp /tmp/r/file /tmp/out
RUN test ! -e /run/buildkit && test -z "$SSH_AUTH_SOCK"
`;
      for (const [index, key] of KEYS.entries()) {
        const path = t.at.key(`key${index}`, ...(key as unknown as [string]));
        t.at.authorize(path);
        const ran = await t.build(clone, [
          '--no-cache',
          '-t',
          'cloned',
          '--ssh',
          `default=${path}`,
        ]);
        assert.is(ran.code, 0, ran.stderr);
        assert.is(await cat(t.rig, 'cloned', '/tmp/out'), 'by ssh');
      }
      const agent = await t.at.agent('agent', t.at.path('key3'));
      const lent = await t.build(clone, ['--no-cache', '--ssh', 'default'], {
        SSH_AUTH_SOCK: agent,
      });
      assert.is(lent.code, 0, lent.stderr);
      const named = await t.build(clone, ['--no-cache', '--ssh', `default=${agent}`]);
      assert.is(named.code, 0, named.stderr);
      t.at.authorize(t.at.path('key0'));
      const refused = await t.build(clone, ['--no-cache', '--ssh', `default=${agent}`]);
      assert.is(refused.code, 1);
      assert.match(refused.stderr, /Permission denied/);
    },
  );

ssh(
  'each ID is an agent, several keys are one agent, and a step without a mount has none',
  async () => {
    await using t = await setting();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => t.at.key(name, 'ed25519'));
    const ran = await t.build(
      `
RUN ${MOUNTS} --mount=type=ssh,id=two,target=/two ssh-add -L | cut -d' ' -f3 >/one && \
SSH_AUTH_SOCK=/two ssh-add -L | cut -d' ' -f3 >/second
RUN --mount=type=bind,from=tools,target=/host ! ssh-add -L 2>/none
RUN --mount=type=ssh,id=nobody,target=/agent test ! -e /agent
`,
      ['-t', 'agents', '--ssh', `default=${a},${b}`, '--ssh', `two=${c}`],
    );
    assert.is(ran.code, 0, ran.stderr);
    assert.is(await cat(t.rig, 'agents', '/one'), 'a\nb\n');
    assert.is(await cat(t.rig, 'agents', '/second'), 'c\n');
    assert.match(await cat(t.rig, 'agents', '/none'), /open a connection/);
  },
);

ssh(
  'owner, mode and target of the socket can be set; by default it is 0600 of the user',
  async () => {
    await using t = await setting();
    const key = t.at.key('key', 'ed25519');
    const ran = await t.build(
      `
RUN --mount=type=ssh stat -c '%n %u:%g %a %F' $SSH_AUTH_SOCK >/root.txt
RUN --mount=type=ssh,uid=5,gid=6,mode=0666,target=/x/agent stat -c '%n %u:%g %a %F' $SSH_AUTH_SOCK \
>/asked.txt
RUN test ! -e /x
USER app
RUN --mount=type=ssh stat -c '%n %u:%g %a %F' $SSH_AUTH_SOCK >/tmp/app.txt
`,
      ['-t', 'modes', '--ssh', `default=${key}`],
    );
    assert.is(ran.code, 0, ran.stderr);
    assert.is(await cat(t.rig, 'modes', '/root.txt'), '/run/buildkit/ssh_agent.0 0:0 600 socket\n');
    assert.is(await cat(t.rig, 'modes', '/asked.txt'), '/x/agent 5:6 666 socket\n');
    assert.is(
      await cat(t.rig, 'modes', '/tmp/app.txt'),
      '/run/buildkit/ssh_agent.0 1000:1000 600 socket\n',
    );
  },
);

ssh('a step cannot change the agent, and another agent does not run the step again', async () => {
  await using t = await setting();
  const key = t.at.key('key', 'ed25519');
  const agent = await t.at.agent('agent', key);
  const calls = 'ssh-add -L >/dev/null && ! ssh-add -D && ssh-add -L | wc -l >/count';
  const step = `RUN ${MOUNTS} ${calls}`;
  const first = await t.build(step, ['-t', 'kept', '--ssh', `default=${agent}`]);
  assert.is(first.code, 0, first.stderr);
  assert.is(await cat(t.rig, 'kept', '/count'), '1\n');
  const other = await t.build(step, ['--ssh', `default=${key}`]);
  assert.is([...steps(other.stderr)].at(-1)?.[1], 'CACHED');
});

ssh('the keys and sockets that --ssh names are checked before anything is built', async () => {
  await using t = await setting();
  const key = t.at.key('key', 'ed25519');
  const locked = t.at.key('locked', 'ed25519');
  const agent = await t.at.agent('agent', key);
  const { execFileSync } = await import('node:child_process');
  execFileSync('ssh-keygen', ['-q', '-p', '-P', '', '-N', 'passphrase', '-f', locked]);
  for (const [flags, words] of [
    [['--ssh', 'default'], /SSH_AUTH_SOCK is not set/],
    [['--ssh', 'default=/nothing'], /there is no such socket or key/],
    [['--ssh', `default=${locked}`], /passphrase[\s\S]*ssh-add/],
    [['--ssh', `default=${key}.pub`], /public key/],
    [['--ssh', `default=${agent},${key}`], /has a socket and other paths/],
    [['--ssh', `default=${key}`, '--ssh', `default=${agent}`], /given twice/],
  ] as const) {
    const ran = await t.build('RUN true', flags);
    assert.is(ran.code, 2, ran.stderr);
    assert.match(ran.stderr, words);
    assert.is(steps(ran.stderr).size, 0);
  }
  const needed = await t.build('RUN --mount=type=ssh,required=true true', []);
  assert.is(needed.code, 1);
  assert.match(needed.stderr, /KILN_SSH_AGENT[\s\S]*--ssh default/);
});

ssh('ADD of a repository by ssh can use a key from disk', async () => {
  await using t = await setting();
  const key = t.at.key('key', 'rsa', '-b', '2048');
  t.at.authorize(key);
  const url = t.at.repository('file', 'by ADD');
  const ran = await t.build(`ADD ${url} /r`, ['-t', 'added', '--ssh', `default=${key}`]);
  assert.is(ran.code, 0, ran.stderr);
  assert.is(await cat(t.rig, 'added', '/r/file'), 'by ADD');
  assert.match(readFileSync(t.rig.path('store/known_hosts'), 'utf8'), /ed25519/);
});

ssh('a context in a repository by ssh can use a key from disk', async () => {
  await using t = await setting();
  const key = t.at.key('key', 'ecdsa');
  t.at.authorize(key);
  const url = t.at.repository('Dockerfile', 'FROM busybox\nCOPY Dockerfile /copied\n');
  const ran = await t.rig.kiln([
    'build',
    '--progress=plain',
    '-t',
    'context',
    '--ssh',
    `default=${key}`,
    url,
  ]);
  assert.is(ran.code, 0, ran.stderr);
  assert.match(await cat(t.rig, 'context', '/copied'), /^FROM busybox/);
});

test.run();
