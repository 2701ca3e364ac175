import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig } from './rig.ts';

const surprises = suite('a word before the surprise');

surprises('a build with a result that may surprise has a warning with its line', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN true\n', x: 'x', 'r/bin/x': 'x' });
  const warned = async (dockerfile: string, ...args: string[]) => {
    rig.write('c', { D: dockerfile });
    return await rig.build('c', '-f', 'c/D', ...args);
  };
  assert.not.match(await rig.build('c'), /warning/i);
  const many = `FROM busybox\n${'COPY x /x\n'.repeat(130)}`;
  assert.match(await warned(many), /TooManyLayers: The image has 131 layers.* \(line 128\)/);
  const other = 'FROM --platform=$BUILDPLATFORM busybox\nRUN true\n';
  assert.match(
    await warned(other, '--platform=linux/arm64'),
    /LastStagePlatform: .*linux\/amd64.*linux\/arm64/,
  );
  assert.match(
    await warned('FROM busybox\nCOPY --chmod=0644 x /new/path/\n'),
    /ChmodWithoutExecute: .* \(line 2\)/,
  );
  const dropped = 'FROM busybox AS base\nCMD ["a"]\nFROM base\nENTRYPOINT ["env"]\n';
  assert.match(
    await warned(dropped),
    /EntrypointDropsCmd: ENTRYPOINT drops the CMD of line 2.* \(line 4\)/,
  );
  rig.write('b', { Dockerfile: 'FROM busybox\nENTRYPOINT ["serve"]\nCMD ["--all"]\n' });
  await rig.build('b', '-t', 'serving');
  assert.match(
    await warned('FROM serving\nENTRYPOINT ["env"]\n'),
    /EntrypointDropsCmd: ENTRYPOINT drops the CMD of the base image.* \(line 2\)/,
  );
  assert.not.match(await warned('FROM busybox\nENTRYPOINT ["env"]\n'), /EntrypointDropsCmd/);
  const opened =
    'FROM busybox\nRUN mkdir -m 700 /secret && mkdir -m 1777 /spool\n' +
    'COPY --link x /secret/x\nCOPY --link x /spool/x\n';
  const rights = await warned(opened);
  assert.match(rights, /--link changes directories .*: \/secret \(mode 0700, now 0755\)/);
  assert.match(rights, /--link changes directories .*: \/spool \(mode 1777, now 0755\)/);
  const linked = `FROM busybox AS l
RUN mkdir -p /usr2 && cp -a /bin /usr2/bin && /usr2/bin/busybox rm -rf /bin && \
/usr2/bin/busybox ln -s usr2/bin /bin
FROM l
COPY --link r /
`;
  assert.match(await warned(linked), /--link puts a directory where the image has a link: \/bin/);
});

surprises('an invalid image name is refused even in a stage that is not needed', async () => {
  await using rig = await Rig.create();
  for (const [dockerfile, line] of [
    ['ARG C\nFROM scratch AS first\nENV a=b\nFROM platform-${C}\n', 4],
    ['FROM scratch AS first\nENV a=b\nFROM scratch\nCOPY --from=Bad_Name! a b\n', 4],
    [
      'FROM scratch AS first\nENV a=b\nFROM scratch\nRUN --mount=from=Bad_Name!,target=/x true\n',
      4,
    ],
  ] as const) {
    rig.write('c', { Dockerfile: dockerfile });
    const { code, stderr } = await rig.kiln(['build', '--target=first', 'c']);
    assert.is(code, 1, stderr);
    assert.match(stderr, new RegExp(`Dockerfile:${line}\\n[\\s\\S]*\\[KILN_IMAGE_NAME\\]`));
  }
});

surprises('a name in --chown of a stage from scratch ends with what to write', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY --chown=joe x /\n', x: '' });
  const { stderr } = await rig.kiln(['build', '--progress=plain', 'c'], { expect: 1 });
  assert.match(
    stderr,
    /the owner "[^"]*" is a name[\s\S]*write numbers, such as --chown=1000:1000/,
  );
});

surprises.run();
