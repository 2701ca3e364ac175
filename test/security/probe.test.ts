import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig } from '../rig.ts';
import { asUser, done, prepared } from '../user.ts';

/*
 * What a process in a RUN can see and do (probe.sh) must match the reports in this directory.
 * Docker 28 has three differences: its mounts of files in /etc propagate further mounts,
 * /proc/interrupts can be read, and another pipe is open. KILN_RENEW=1 writes new reports.
 */
const HERE = import.meta.dirname;

const DOCKERFILE = `FROM debian:12
COPY probe.sh /
RUN echo 'alice:x:1234:1234::/home/alice:/bin/sh' >>/etc/passwd && \
printf 'alice:x:1234:\\nextra:x:77:alice\\n' >>/etc/group
RUN sh /probe.sh | cat >/root.txt
USER alice
WORKDIR /tmp
RUN sh /probe.sh | cat >alice.txt
FROM scratch
COPY --from=0 /root.txt /tmp/alice.txt /
`;

function held(name: string, report: string): void {
  const path = join(HERE, name);
  if (process.env['KILN_RENEW'] || !existsSync(path)) writeFileSync(path, report);
  assert.is(report, readFileSync(path, 'utf8'), `${name}: KILN_RENEW=1 takes what there is now`);
}

test('a process in a build by root sees and can do what the report says', async () => {
  await using rig = await Rig.create('debian');
  rig.write('c', { Dockerfile: DOCKERFILE, 'probe.sh': readFileSync(join(HERE, 'probe.sh')) });
  await rig.kiln(['build', '--output', 'out', 'c'], {
    expect: 0,
    env: { CANARY: 'of the builder' },
  });
  for (const who of ['root', 'alice'])
    held(`${who}.txt`, readFileSync(rig.path('out', `${who}.txt`), 'utf8'));
});

test('a process in a build by an ordinary user sees and can do what the report says', async () => {
  await using rig = await prepared(DOCKERFILE, 'debian');
  writeFileSync(rig.path('c/probe.sh'), readFileSync(join(HERE, 'probe.sh')), { mode: 0o644 });
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'debian.tar'));
  // The first build uses the network of the host. Its step sees the /sys of the host, too.
  execFileSync('mknod', ['-m', '0', rig.path('tun'), 'c', '10', '200']);
  await done(asUser(rig, 'with ids', 'build', '--output', 'shared', 'c'));
  // What is mounted there, such as tracefs, differs from host to host.
  const shared = readFileSync(rig.path('shared/root.txt'), 'utf8');
  held('rootless-root-shared.txt', shared.replace(/^mount \/sys\/.*\n/gm, ''));
  if (!existsSync('/usr/bin/slirp4netns') || !existsSync('/dev/net/tun'))
    return console.log('SKIP own network: needs slirp4netns');
  execFileSync('chmod', ['666', rig.path('tun')]);
  await done(asUser(rig, 'with ids', 'build', '--no-cache', '--output', 'out', 'c'));
  for (const who of ['root', 'alice'])
    held(`rootless-${who}.txt`, readFileSync(rig.path('out', `${who}.txt`), 'utf8'));
});

test.run();
