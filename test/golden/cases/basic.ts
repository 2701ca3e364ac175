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
      'FROM busybox\n' +
      'RUN ["/bin/sh", "-c", "echo exec > /exec"]\n' +
      'SHELL ["/bin/sh", "-ec"]\n' +
      'RUN echo shell > /shell\n' +
      'RUN <<EOF\n' +
      'echo a > /a\n' +
      'echo b > /b\n' +
      'EOF\n',
  },
  {
    name: 'run-delete',
    dockerfile:
      'FROM busybox\n' +
      'RUN mkdir -p /d/e && echo 1 > /d/e/f && echo 2 > /d/g\n' +
      'RUN rm /d/g && rm -r /d/e && mkdir /d/e && echo new > /d/e/h\n' +
      'RUN rm /etc/group\n',
  },
  {
    name: 'run-metadata',
    dockerfile:
      'FROM busybox\n' +
      'RUN chmod 700 /home && chown 33:33 /var/www\n' +
      'RUN ln -s /etc/passwd /link && ln /etc/nsswitch.conf /etc/hard\n' +
      'RUN mkfifo /fifo && chmod 4755 /bin/busybox\n',
  },
  { name: 'run-empty', dockerfile: 'FROM busybox\nRUN true\nRUN echo x > /tmp/x && rm /tmp/x\n' },
  {
    name: 'copy-file',
    dockerfile:
      'FROM busybox\n' +
      'COPY package.json /app/\n' +
      'COPY package.json /app/other.json\n' +
      'COPY package.json /etc\n',
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
      'FROM busybox\n' +
      'COPY --chown=www-data:nogroup src /a\n' +
      'COPY --chown=10 package.json /b/c/\n' +
      'COPY --chown=10:20 x1.txt /d\n' +
      'COPY --chown=daemon x1.txt /e/\n' +
      'COPY --chmod=0751 src /f\n',
    files: tree,
  },
  {
    name: 'copy-links',
    dockerfile:
      'FROM busybox\n' +
      'COPY src /a\n' +
      'COPY src/link /b\n' +
      'COPY src/dirlink /c/\n' +
      'RUN ln -s /real /to && mkdir /real\n' +
      'COPY package.json /to/\n',
    files: tree,
    links: { 'src/link': 'a.txt', 'src/dirlink': 'sub', 'src/broken': 'nowhere' },
  },
  {
    name: 'copy-from',
    dockerfile:
      'FROM busybox AS one\n' +
      'RUN mkdir -p /out/x && echo 1 > /out/x/f && chmod 600 /out/x/f && ln -s f /out/x/l\n' +
      'FROM busybox\n' +
      'COPY --from=one /out /res\n' +
      'COPY --from=0 /out/x/f /single\n' +
      'COPY --from=busybox /etc/passwd /pw\n',
  },
  {
    name: 'copy-link-flag',
    dockerfile:
      'FROM busybox\n' +
      'COPY --link src /a/b\n' +
      'COPY --link --chown=5:6 package.json /a/\n' +
      'RUN echo after > /after\n',
    files: tree,
  },
  {
    name: 'copy-heredoc',
    dockerfile:
      'FROM busybox\n' +
      'ENV WHO=you\n' +
      'COPY <<one <<"two" /dir/\n' +
      'hello $WHO\n' +
      'one\n' +
      'raw $WHO\n' +
      'two\n' +
      'COPY --chmod=755 <<-EOF /script\n' +
      '\t#!/bin/sh\n' +
      '\techo hi\n' +
      'EOF\n',
  },
  {
    name: 'add-local',
    dockerfile: 'FROM busybox\nADD src /a/\nADD package.json x1.txt /b/\n',
    files: tree,
  },
  {
    name: 'workdir',
    dockerfile:
      'FROM busybox\n' +
      'WORKDIR /a\n' +
      'WORKDIR b/c\n' +
      'RUN pwd > out\n' +
      'WORKDIR /etc\n' +
      'USER www-data\n' +
      'WORKDIR /made/by/user\n',
  },
  {
    name: 'scratch',
    dockerfile:
      'FROM busybox AS b\n' +
      'RUN echo data > /data\n' +
      'FROM scratch\n' +
      'COPY --from=b /data /\n' +
      'CMD ["/data"]\n',
  },
  {
    name: 'config',
    dockerfile:
      'FROM busybox\n' +
      'ENV A=1 B="two words" C=$A\n' +
      'ENV D 4 five\n' +
      'LABEL k=v other="x y"\n' +
      'EXPOSE 80 443/tcp 53/udp\n' +
      'VOLUME /data ["/json"]\n' +
      'VOLUME ["/v1", "/v2"]\n' +
      'USER 10:20\n' +
      'STOPSIGNAL SIGINT\n' +
      'HEALTHCHECK --interval=5s --timeout=3s --retries=2 CMD wget -q localhost\n' +
      'ENTRYPOINT ["/bin/sh"]\n' +
      'CMD ["-c", "true"]\n' +
      'MAINTAINER somebody\n',
  },
  {
    name: 'config-shell',
    dockerfile:
      'FROM busybox\n' +
      'SHELL ["/bin/sh", "-cex"]\n' +
      'ENTRYPOINT nginx\n' +
      'CMD echo $HOME\n' +
      'ONBUILD RUN echo child\n',
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
      'ARG TAG=latest\n' +
      'FROM busybox:$TAG\n' +
      'ARG A=1\n' +
      'ARG B\n' +
      'ARG TAG\n' +
      'RUN echo "$A $B $TAG" > /args\n' +
      'ENV A=env\n' +
      'RUN echo "$A" > /args2\n',
    args: ['--build-arg', 'B=given', '--build-arg', 'HTTP_PROXY=http://proxy.invalid'],
  },
  {
    name: 'onbuild-child',
    dockerfile:
      'FROM busybox AS parent\n' +
      'ONBUILD RUN echo fired > /fired\n' +
      'ONBUILD COPY package.json /pkg\n' +
      'FROM parent\n' +
      'RUN echo own > /own\n',
    files: tree,
  },
  {
    name: 'multi-stage',
    dockerfile:
      'FROM busybox AS base\n' +
      'ENV X=1\n' +
      'FROM base AS unused\n' +
      'RUN false\n' +
      'FROM base AS final\n' +
      'RUN echo $X > /x\n',
  },
  {
    name: 'target',
    dockerfile: 'FROM busybox AS a\nRUN echo a > /a\nFROM busybox AS b\nRUN echo b > /b\n',
    args: ['--target', 'a'],
  },
  {
    name: 'mounts',
    dockerfile:
      'FROM busybox AS tools\n' +
      'RUN mkdir /t && echo tool > /t/tool\n' +
      'FROM busybox\n' +
      'RUN --mount=type=bind,from=tools,source=/t,target=/mnt/t ' +
      '--mount=type=bind,target=/ctx --mount=type=cache,target=/cache ' +
      '--mount=type=tmpfs,target=/scratch cat /mnt/t/tool /ctx/package.json > /both && ' +
      'touch /cache/x /scratch/y\n',
    files: tree,
  },
];
