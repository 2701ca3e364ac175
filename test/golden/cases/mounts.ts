import { createHash } from 'node:crypto';
import { type GoldenCase, lines } from '../case.ts';
import { tree } from './basic.ts';

const ls = (...paths: string[]) => `ls -d ${paths.join(' ')} 2>/dev/null`;

/** A file that a step of root made, in the form in which trees are compared. */
const file = (text: string) => ({
  type: 'file',
  mode: '0o644',
  uid: 0,
  gid: 0,
  mtime: 'build time',
  size: Buffer.byteLength(text),
  sha256: createHash('sha256').update(text).digest('hex'),
});

/**
 * The content of mounts of a RUN, and that they leave nothing in the image. Targets may be missing,
 * overlap, be moved by the step, or be behind links.
 */
export const MOUNTS: readonly GoldenCase[] = [
  {
    name: 'mount-points-gone',
    dockerfile: lines(
      'FROM busybox',
      'RUN --mount=target=/m/deep/ctx --mount=type=tmpfs,target=/m/t --mount=type=cache,' +
        'id=golden-gone,target=/var/c/c true',
      'RUN --mount=target=/n/deep/ctx echo beside > /n/beside',
      'RUN --mount=target=/o/deep/ctx echo beside > /o/deep/beside && mkdir /o/dir',
      'RUN --mount=type=secret,id=none,target=/p/q/r --mount=type=ssh true',
      `RUN ${ls('/m', '/n/deep', '/o/deep/ctx', '/p', '/run/buildkit', '/run/secrets')} ` +
        '> /listed; true',
    ),
  },
  {
    name: 'mount-parents-unchanged',
    dockerfile: lines(
      'FROM busybox',
      'COPY src /copied',
      'RUN --mount=target=/copied/stub/ctx --mount=type=tmpfs,target=/copied/t true',
      'RUN --mount=target=/copied/stub/ctx echo x > /copied/new && rm /copied/new',
    ),
    files: tree,
  },
  {
    name: 'mount-behind-links',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir /real && ln -s /real /abs && ln -s real /rel && ln -s ../../../../real /up ' +
        '&& ln -s /missing/there /dangling',
      'RUN --mount=target=/abs/a --mount=target=/rel/b/c --mount=target=/up/d ls /real > ' +
        '/listed && ls /real/a /real/b/c /real/d > /seen',
      'RUN --mount=type=tmpfs,target=/abs echo tmp > /real/x && ls /real > /over',
      `RUN ${ls('/real/a', '/real/b', '/real/d', '/real/x')} > /after; true`,
    ),
    files: { one: '1', two: '2' },
  },
  {
    name: 'mount-dangling-link',
    dockerfile: lines(
      'FROM busybox',
      'RUN ln -s /missing/there /dangling',
      'RUN --mount=target=/dangling/ctx ls /missing/there > /listed',
      `RUN ${ls('/missing')} > /after; true`,
    ),
    files: { one: '1' },
  },
  {
    name: 'mount-parent-moved',
    dockerfile: lines(
      'FROM busybox',
      'RUN --mount=target=/old/stub/ctx echo f > /old/f && mv /old /new && ls ' +
        '/new/stub/ctx > /seen',
      'RUN find /new > /after',
    ),
    files: { one: '1' },
    differs: {
      why: 'what was made for a mount goes wherever its directory went',
      expect: (docker) => {
        const { '/new/stub': _, '/new/stub/ctx': __, ...rest } = docker.tree;
        return { ...docker, tree: { ...rest, '/after': file('/new\n/new/f\n') } };
      },
    },
  },
  {
    name: 'mount-parent-removed',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir /old && echo f > /old/f',
      'RUN --mount=target=/old/stub/ctx rm -rf /old 2>/dev/null; ls /old > /left',
      `RUN ${ls('/old', '/old/f', '/old/stub')} > /after; true`,
    ),
    files: { one: '1' },
  },
  {
    name: 'mount-parent-replaced-by-link',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir -p /elsewhere/ctx && echo canary > /elsewhere/canary',
      'RUN --mount=target=/old/stub/ctx mv /old/stub /old/moved && ln -s /elsewhere /old/stub',
      'RUN find /old /elsewhere | sort > /after',
    ),
    files: { one: '1' },
    differs: {
      why:
        'what was made for a mount goes wherever its directory went, and what a link ' +
        'leads to instead stays',
      expect: (docker) => {
        const { '/old/moved/ctx': ctx = null, ...rest } = docker.tree;
        const found =
          '/elsewhere\n/elsewhere/canary\n/elsewhere/ctx\n/old\n/old/moved\n/old/stub\n';
        return { ...docker, tree: { ...rest, '/elsewhere/ctx': ctx, '/after': file(found) } };
      },
    },
  },
  {
    name: 'mount-overlapping',
    dockerfile: lines(
      'FROM busybox AS a',
      'RUN mkdir -p /d/inner/leaf && echo a > /d/a && echo i > /d/inner/i',
      'FROM busybox',
      'RUN --mount=type=tmpfs,target=/m/inner/leaf --mount=from=a,source=/d,target=/m echo ' +
        't > /m/inner/leaf/t; find /m | sort > /one',
      'RUN --mount=from=a,source=/d,target=/m --mount=target=/m/inner find /m | sort > /two',
      'RUN --mount=from=a,source=/d,target=/m --mount=type=tmpfs,target=/m find /m | sort > /three',
      'RUN --mount=type=tmpfs,target=/m --mount=from=a,source=/d,target=/m find /m | sort > /four',
      'RUN --mount=type=tmpfs,target=/t --mount=target=/t/deep/ctx find /t | sort > /five ' +
        '&& echo x > /t/deep/x',
      'RUN --mount=type=tmpfs,target=/t --mount=type=secret,id=one,target=/t/one cat /t/one > /six',
    ),
    files: { one: '1' },
    outside: { secrets: { one: 'hush' } },
    args: ['--secret', 'id=one,src={secrets}/one'],
  },
  {
    name: 'mount-variables',
    dockerfile: lines(
      'FROM busybox AS a',
      'RUN mkdir /d && echo f > /d/f',
      'FROM busybox',
      'ARG T=/target S=/d ID=one KIND=tmpfs',
      'ENV M=0440 U=5',
      'RUN --mount=from=a,source=${S},target=$T/${none:-x} cat /target/x/f > /bind',
      'RUN --mount=type=${KIND},target=${T} touch /target/x && ls /target > /tmp1',
      'RUN --mount=type=secret,id=${ID},target=$T,mode=$M,uid=$U,gid=${U}6 stat -c "%a %u ' +
        '%g %n" /target > /secret',
      'RUN --mount=type=cache,id=golden-$ID,target=$T,mode=07$M,uid=$U stat -c "%a %u" ' +
        '/target > /cache; true',
    ),
    outside: { secrets: { one: 'hush' } },
    args: ['--secret', 'id=one,src={secrets}/one'],
  },
  {
    name: 'mount-from-variable',
    dockerfile: 'FROM busybox AS a\nFROM busybox\nARG A=a\nRUN --mount=from=$A,target=/m true\n',
    refused: true,
  },
  {
    name: 'mount-bind-sources',
    dockerfile: lines(
      'FROM busybox AS a',
      'RUN mkdir -p /d/e && echo f > /d/f && ln -s /d/f /file && ln -s d /dir && ln -s ' +
        '../../../d/e/../f /d/e/up && ln -s /../../d /out',
      'FROM busybox',
      'RUN --mount=from=a,source=/file,target=/m cat /m > /link',
      'RUN --mount=from=a,source=/dir,target=/m cat /m/f > /dirlink',
      'RUN --mount=from=a,source=/d/e/up,target=/m cat /m > /uplink',
      'RUN --mount=from=a,source=/out,target=/m ls /m > /outlink',
      'RUN --mount=from=a,source=../../d,target=/m ls /m > /dots',
      'RUN --mount=from=a,source=d/e/..,target=/m ls /m > /inner',
      'RUN --mount=from=a,target=/m ls /m/d > /whole',
      'RUN --mount=from=busybox,source=/etc,target=/m ls /m > /image',
      'RUN --mount=from=other,source=sub,target=/m ls /m > /named',
      'RUN --mount=source=src,target=/m ls /m > /context',
    ),
    files: tree,
    outside: { other: { 'sub/f': 'named' } },
    args: ['--build-context', 'other={other}'],
  },
  {
    name: 'mount-bind-missing',
    dockerfile: 'FROM busybox AS a\nFROM busybox\nRUN --mount=from=a,source=/no,target=/m true\n',
    refused: true,
  },
  {
    name: 'mount-bind-missing-context',
    dockerfile: 'FROM busybox\nRUN --mount=source=no,target=/m true\n',
    refused: true,
  },
  { name: 'mount-root', dockerfile: 'FROM busybox\nRUN --mount=target=/ true\n', refused: true },
  {
    name: 'mount-over-file',
    dockerfile: 'FROM busybox\nRUN echo > /f\nRUN --mount=target=/f true\n',
    refused: true,
  },
  {
    name: 'mount-below-file',
    dockerfile: 'FROM busybox\nRUN echo > /f\nRUN --mount=target=/f/d true\n',
    refused: true,
  },
  {
    name: 'mount-files',
    dockerfile: lines(
      'FROM busybox',
      'RUN echo mine > /mine && mkdir /d',
      'RUN --mount=source=one,target=/mine --mount=source=two,target=/new/two cat /mine ' +
        '/new/two > /seen; echo no > /mine 2>/dev/null || echo ro >> /seen',
      'RUN --mount=source=one,target=/mine,rw echo lost > /mine && cat /mine > /written',
      'RUN --mount=type=secret,id=one,target=/mine cat /mine > /secret',
      'RUN --mount=type=secret,id=one,target=/etc/hosts cat /etc/hosts > /hosts',
      'RUN --mount=source=one,target=/etc/resolv.conf cat /etc/resolv.conf > /resolv',
      'RUN cat /mine > /after; ls /new > /gone 2>/dev/null; true',
    ),
    files: { one: '1\n', two: '2\n' },
    outside: { secrets: { one: 'hush\n' } },
    args: ['--secret', 'id=one,src={secrets}/one'],
  },
  {
    name: 'mount-bind-discarded',
    dockerfile: lines(
      'FROM busybox AS a',
      'RUN mkdir /d && echo f > /d/f',
      'FROM busybox',
      'RUN --mount=from=a,source=/d,target=/m,rw echo new > /m/new && rm /m/f && ls /m > /first',
      'RUN --mount=from=a,source=/d,target=/m,rw ls /m > /second',
      'RUN --mount=from=a,source=/d,target=/m,rw --mount=from=a,source=/d,target=/n,rw echo ' +
        '1 > /m/one; ls /n > /third',
      'RUN --mount=from=a,source=/d,target=/m,readwrite=false touch /m/x 2>/dev/null || ' +
        'echo ro > /fourth',
      'RUN --mount=target=/m,readonly=false touch /m/x && ls /m > /fifth',
    ),
    files: { one: '1' },
  },
  {
    name: 'mount-tmpfs',
    dockerfile: lines(
      'FROM busybox',
      'RUN --mount=type=tmpfs,target=/t,size=1m stat -c "%a %u %g" /t > /mode; head -c ' +
        '2000000 /dev/zero > /t/big 2>/dev/null || echo full > /full; df -k /t | tail -n 1 | ' +
        'tr -s " " | cut -d " " -f 2 > /size',
      'RUN mkdir -m 700 /own && chown 5:6 /own && echo below > /own/below',
      'RUN --mount=type=tmpfs,target=/own ls /own > /empty; stat -c "%a %u %g" /own > ' +
        '/ownmode; grep " /own " /proc/mounts | cut -d " " -f 4 | tr , "\\n" | grep -E ' +
        '"^(ro|rw|nosuid|nodev|noexec)$" > /flags',
      'RUN --mount=type=tmpfs,target=/dev/shm,size=2m df -k /dev/shm | tail -n 1 | tr -s " ' +
        '" | cut -d " " -f 2 > /shm',
    ),
  },
  {
    name: 'mount-ssh-absent',
    dockerfile: lines(
      'FROM busybox',
      'RUN --mount=type=ssh echo "$SSH_AUTH_SOCK" > /default; ls -d /run/buildkit >> ' +
        '/default 2>/dev/null; true',
      'RUN --mount=type=ssh,id=x,target=/agent --mount=type=ssh echo "$SSH_AUTH_SOCK" > /two',
      'ENV SSH_AUTH_SOCK=/own',
      'RUN --mount=type=ssh echo "$SSH_AUTH_SOCK" > /own',
    ),
  },
  {
    name: 'mount-ssh-required',
    dockerfile: 'FROM busybox\nRUN --mount=type=ssh,required true\n',
    refused: true,
  },
  {
    name: 'mount-secrets',
    dockerfile: lines(
      'FROM busybox',
      'WORKDIR /w',
      'RUN --mount=type=secret,id=one --mount=type=secret,id=two,target=/run/secrets/other ' +
        'cat /run/secrets/one /run/secrets/other > /a; ls /run/secrets > /names',
      'RUN --mount=type=secret,source=one cat /run/secrets/one > /b',
      'RUN --mount=type=secret,target=/x/two cat /x/two > /c',
      'RUN --mount=type=secret,id=one,env=A --mount=type=secret,id=two,env=B,target=/two ' +
        'echo "$A $B" > /d; cat /two >> /d; ls /run/secrets >> /d 2>/dev/null; true',
      'RUN --mount=type=secret,id=none,env=NONE echo "${NONE-unset}" > /e',
      'RUN --mount=type=secret,id=one touch /run/secrets/x && echo changed > ' +
        '/run/secrets/one 2>/dev/null || echo ro > /f',
      'RUN ls /run > /after',
    ),
    outside: { secrets: { one: 'hush', two: 'still' } },
    args: ['--secret', 'id=one,src={secrets}/one', '--secret', 'id=two,src={secrets}/two'],
  },
  {
    name: 'mount-secret-of-user',
    dockerfile: lines(
      'FROM busybox',
      "RUN echo 'app:x:1000:1001::/:/bin/sh' > /etc/passwd && mkdir -m 777 /out",
      'USER app',
      'RUN --mount=type=secret,id=one stat -c "%a %u %g" /run/secrets/one > /out/mode; cat ' +
        '/run/secrets/one > /out/read 2>/dev/null || true',
      'RUN --mount=type=secret,id=one,uid=7,gid=8,mode=0404 stat -c "%a %u %g" ' +
        '/run/secrets/one > /out/given',
    ),
    outside: { secrets: { one: 'hush' } },
    args: ['--secret', 'id=one,src={secrets}/one'],
    differs: {
      why: 'a secret belongs to the user of the step unless an owner is given',
      expect: (docker) => {
        const own = { uid: 1000, gid: 1001 };
        const tree = {
          '/out/mode': { ...file('400 1000 1001\n'), ...own },
          '/out/read': { ...file('hush'), ...own },
        };
        return { ...docker, tree: { ...docker.tree, ...tree } };
      },
    },
  },
];
