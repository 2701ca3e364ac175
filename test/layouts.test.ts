import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig } from './rig.ts';

/** Makes a rig with an OCI layout. Its image has the tag 1 and a file `/here`. */
async function withLayout(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('make', { Dockerfile: 'FROM busybox\nRUN echo 1 > /here\n' });
  await rig.build('make', '-o', 'type=oci,dest=layout,tar=false,name=base:1');
  rig.write('use', { Dockerfile: 'FROM base:3\nRUN test -e /here\n' });
  return rig;
}

test('an OCI layout is found in a directory of any name, and in an archive', async () => {
  await using rig = await withLayout();
  const { manifests } = JSON.parse(readFileSync(rig.path('layout/index.json'), 'utf8'));
  const { digest } = manifests[0] as { digest: string };
  execFileSync('tar', ['-cf', rig.path('a:b@c.tar'), '-C', rig.path('layout'), '.']);
  for (const directory of ['job@2', 'a@b:1', 'sp ace#?='])
    cpSync(rig.path('layout'), rig.path(directory), { recursive: true });
  for (const place of [
    'layout',
    'layout:1',
    `layout@${digest}`,
    'job@2',
    'job@2:1',
    `job@2:1@${digest}`,
    'a@b:1',
    'a@b:1:1',
    'sp ace#?=',
    'a:b@c.tar',
  ])
    await rig.build(
      'use',
      '--no-cache',
      '--build-context',
      `base:3=oci-layout://${rig.path(place)}`,
    );
  for (const wrong of [`layout@sha256:${'0'.repeat(64)}`, 'layout@sha256:12'])
    await rig.kiln(
      ['build', '--build-context', `base:3=oci-layout://${rig.path(wrong)}`, rig.path('use')],
      { expect: 1 },
    );
  await rig.kiln(['copy', `oci:${rig.path('a@b:1')}`, `oci:${rig.path('job@2')}/new:x:2`], {
    expect: 0,
  });
});

test('a cache directory with @, : and = in its name is written and read', async () => {
  await using rig = await withLayout();
  const at = rig.path('job@2:x/ca=che');
  mkdirSync(rig.path('job@2:x'));
  await rig.build('make', '--cache-to', `type=local,dest=${at}`);
  await using other = await Rig.create('busybox');
  other.write('make', { Dockerfile: 'FROM busybox\nRUN echo 1 > /here\n' });
  const told = await other.build('make', '--cache-from', `type=local,src=${at}`);
  assert.match(told, 'CACHED');
});

test('a link in a layout reveals no file of the host, and a pipe does not block', async () => {
  await using rig = await withLayout();
  writeFileSync(rig.path('secret'), 'CANARY-SECRET');
  const commands = (layout: string) => [
    ['load', '-i', layout],
    [
      'build',
      '--progress=plain',
      '--build-context',
      `base:3=oci-layout://${layout}`,
      rig.path('use'),
    ],
    ['build', '--progress=plain', '--cache-from', `type=local,src=${layout}`, rig.path('make')],
    ['copy', `oci:${layout}`, `oci-archive:${rig.path('out.tar')}`],
  ];
  for (const name of ['index.json', 'oci-layout']) {
    for (const kind of ['link', 'pipe', 'text']) {
      const layout = rig.path('hostile');
      rmSync(layout, { recursive: true, force: true });
      cpSync(rig.path('layout'), layout, { recursive: true });
      rmSync(rig.path('hostile', name));
      if (kind === 'link') symlinkSync(rig.path('secret'), rig.path('hostile', name));
      else if (kind === 'pipe') execFileSync('mkfifo', [rig.path('hostile', name)]);
      else writeFileSync(rig.path('hostile', name), 'CANARY-SECRET');
      for (const command of commands(layout)) {
        const { stdout, stderr, code } = await rig.kiln(command);
        const told = `${command[0]} ${name} ${kind}: ${stdout}${stderr}`;
        assert.not.match(told, 'CANARY');
        assert.match(told, /KILN_|is not used/, told);
        assert.ok(code === 1 || command.includes('--cache-from'), told);
      }
    }
  }
  assert.not.ok(existsSync(rig.path('out.tar')));
});

test.run();
