import type { GoldenCase } from '../case.ts';

/** A small context that many cases share. */
export const tree = {
  'src/a.txt': 'a\n',
  'src/sub/b.sh': '#!/bin/sh\necho b\n',
  'src/sub/deep/c': 'c',
  'package.json': '{}\n',
  'package-lock.json': '{"l":1}\n',
  'x1.txt': '1',
  'x2.txt': '22',
};

export const BASIC: readonly GoldenCase[] = [
  {
    name: 'run-shell',
    dockerfile: 'FROM busybox\nRUN echo hello > /hello && mkdir -p /a/b && chmod 750 /a\n',
  },
  {
    name: 'run-forms',
    dockerfile:
      'FROM busybox\nRUN ["/bin/sh", "-c", "echo exec > /exec"]\nSHELL ["/bin/sh", "-ec"]\nRUN echo shell > /shell\nRUN <<EOF\necho a > /a\necho b > /b\nEOF\n',
  },
  {
    name: 'run-delete',
    dockerfile:
      'FROM busybox\nRUN mkdir -p /d/e && echo 1 > /d/e/f && echo 2 > /d/g\nRUN rm /d/g && rm -r /d/e && mkdir /d/e && echo new > /d/e/h\nRUN rm /etc/group\n',
  },
  {
    name: 'run-metadata',
    dockerfile:
      'FROM busybox\nRUN chmod 700 /home && chown 33:33 /var/www\nRUN ln -s /etc/passwd /link && ln /etc/nsswitch.conf /etc/hard\nRUN mkfifo /fifo && chmod 4755 /bin/busybox\n',
  },
  { name: 'run-empty', dockerfile: 'FROM busybox\nRUN true\nRUN echo x > /tmp/x && rm /tmp/x\n' },
  {
    name: 'copy-file',
    dockerfile:
      'FROM busybox\nCOPY package.json /app/\nCOPY package.json /app/other.json\nCOPY package.json /etc\n',
    files: tree,
  },
  {
    name: 'copy-dir',
    dockerfile: 'FROM busybox\nCOPY src /dst\nCOPY src /etc\nCOPY src/sub /dst/again/\n',
    files: tree,
    modes: { 'src/sub/b.sh': 0o755 },
  },
  {
    name: 'copy-all',
    dockerfile: 'FROM busybox\nWORKDIR /w\nCOPY . .\n',
    files: { ...tree, '.dockerignore': '**/deep\n*.txt\n!x2.txt\n' },
  },
  {
    name: 'copy-globs',
    dockerfile: 'FROM busybox\nCOPY package*.json ./\nCOPY x?.txt /x/\nCOPY src/*/b.sh /y/\n',
    files: tree,
  },
  {
    name: 'copy-owner',
    dockerfile:
      'FROM busybox\nCOPY --chown=www-data:nogroup src /a\nCOPY --chown=10 package.json /b/c/\nCOPY --chown=10:20 x1.txt /d\nCOPY --chown=daemon x1.txt /e/\nCOPY --chmod=0751 src /f\n',
    files: tree,
  },
  {
    name: 'copy-links',
    dockerfile:
      'FROM busybox\nCOPY src /a\nCOPY src/link /b\nCOPY src/dirlink /c/\nRUN ln -s /real /to && mkdir /real\nCOPY package.json /to/\n',
    files: tree,
    links: { 'src/link': 'a.txt', 'src/dirlink': 'sub', 'src/broken': 'nowhere' },
  },
  {
    name: 'copy-from',
    dockerfile:
      'FROM busybox AS one\nRUN mkdir -p /out/x && echo 1 > /out/x/f && chmod 600 /out/x/f && ln -s f /out/x/l\nFROM busybox\nCOPY --from=one /out /res\nCOPY --from=0 /out/x/f /single\nCOPY --from=busybox /etc/passwd /pw\n',
  },
  {
    name: 'copy-link-flag',
    dockerfile:
      'FROM busybox\nCOPY --link src /a/b\nCOPY --link --chown=5:6 package.json /a/\nRUN echo after > /after\n',
    files: tree,
  },
  {
    name: 'copy-heredoc',
    dockerfile:
      'FROM busybox\nENV WHO=you\nCOPY <<one <<"two" /dir/\nhello $WHO\none\nraw $WHO\ntwo\nCOPY --chmod=755 <<-EOF /script\n\t#!/bin/sh\n\techo hi\nEOF\n',
  },
  {
    name: 'add-local',
    dockerfile: 'FROM busybox\nADD src /a/\nADD package.json x1.txt /b/\n',
    files: tree,
  },
  {
    name: 'workdir',
    dockerfile:
      'FROM busybox\nWORKDIR /a\nWORKDIR b/c\nRUN pwd > out\nWORKDIR /etc\nUSER www-data\nWORKDIR /made/by/user\n',
  },
  {
    name: 'scratch',
    dockerfile:
      'FROM busybox AS b\nRUN echo data > /data\nFROM scratch\nCOPY --from=b /data /\nCMD ["/data"]\n',
  },
  {
    name: 'config',
    dockerfile:
      'FROM busybox\nENV A=1 B="two words" C=$A\nENV D 4 five\nLABEL k=v other="x y"\nEXPOSE 80 443/tcp 53/udp\nVOLUME /data ["/json"]\nVOLUME ["/v1", "/v2"]\nUSER 10:20\nSTOPSIGNAL SIGINT\nHEALTHCHECK --interval=5s --timeout=3s --retries=2 CMD wget -q localhost\nENTRYPOINT ["/bin/sh"]\nCMD ["-c", "true"]\nMAINTAINER somebody\n',
  },
  {
    name: 'config-shell',
    dockerfile:
      'FROM busybox\nSHELL ["/bin/sh", "-cex"]\nENTRYPOINT nginx\nCMD echo $HOME\nONBUILD RUN echo child\n',
  },
  {
    name: 'config-reset',
    dockerfile:
      'FROM busybox\nCMD ["x"]\nENTRYPOINT ["y"]\nHEALTHCHECK NONE\nENV PATH=/opt:$PATH\n',
    args: ['--label', 'given=yes'],
  },
  {
    name: 'args',
    dockerfile:
      'ARG TAG=latest\nFROM busybox:$TAG\nARG A=1\nARG B\nARG TAG\nRUN echo "$A $B $TAG" > /args\nENV A=env\nRUN echo "$A" > /args2\n',
    args: ['--build-arg', 'B=given', '--build-arg', 'HTTP_PROXY=http://proxy.invalid'],
  },
  {
    name: 'onbuild-child',
    dockerfile:
      'FROM busybox AS parent\nONBUILD RUN echo fired > /fired\nONBUILD COPY package.json /pkg\nFROM parent\nRUN echo own > /own\n',
    files: tree,
  },
  {
    name: 'multi-stage',
    dockerfile:
      'FROM busybox AS base\nENV X=1\nFROM base AS unused\nRUN false\nFROM base AS final\nRUN echo $X > /x\n',
  },
  {
    name: 'target',
    dockerfile: 'FROM busybox AS a\nRUN echo a > /a\nFROM busybox AS b\nRUN echo b > /b\n',
    args: ['--target', 'a'],
  },
  {
    name: 'mounts',
    dockerfile:
      'FROM busybox AS tools\nRUN mkdir /t && echo tool > /t/tool\nFROM busybox\nRUN --mount=type=bind,from=tools,source=/t,target=/mnt/t --mount=type=bind,target=/ctx --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch cat /mnt/t/tool /ctx/package.json > /both && touch /cache/x /scratch/y\n',
    files: tree,
  },
];
