import { type GoldenCase, lines } from '../case.ts';
import { tree } from './basic.ts';

/** RUN: forms, heredocs, shells, mounts. */
export const RUNS: readonly GoldenCase[] = [
  {
    name: 'run-heredocs',
    dockerfile: lines(
      'FROM busybox',
      'ENV X=env',
      'RUN <<EOF',
      '  echo "$X" > /plain',
      'EOF',
      'RUN <<"EOF"',
      'echo "$X" > /quoted',
      'EOF',
      'RUN <<-EOF',
      '\t\techo tabs > /tabs',
      '\tEOF',
      'RUN cat <<A > /a && cat <<"B" > /b',
      'a $X',
      'A',
      'b $X',
      'B',
      'RUN <<EOF',
      '#!/bin/sh -e',
      'echo shebang $0 > /shebang',
      'EOF',
      'RUN cat 3<<three <&3 > /three',
      'fd',
      'three',
      'RUN <<EOF',
      '# a comment stays',
      'echo \\',
      '  continued > /cont',
      '',
      'echo "# not one" >> /cont',
      'EOF',
    ),
  },
  {
    name: 'run-heredoc-shell',
    dockerfile: lines(
      'FROM busybox',
      'SHELL ["/bin/sh", "-exc"]',
      'RUN <<EOF',
      'echo $- > /flags',
      'false || true',
      'EOF',
    ),
  },
  { name: 'run-heredoc-open', dockerfile: 'FROM busybox\nRUN <<EOF\necho 1\n', refused: true },
  {
    name: 'run-continued',
    dockerfile: lines(
      'FROM busybox',
      'RUN echo a \\',
      '# a comment between',
      '    b \\  ',
      '',
      '    c > /abc',
      'RUN echo "one \\',
      'line" > /line \\',
      '  # indented comment',
      '  && echo "#no" >> /line',
      'ENV A=1 \\',
      '# x',
      '    B=2',
    ),
  },
  {
    name: 'run-crlf',
    dockerfile:
      'FROM busybox\r\n' +
      'RUN echo a \\\r\n' +
      '  b > /ab\r\n' +
      'ENV A=1\r\n' +
      'COPY <<E /h\r\n' +
      'x\r\n' +
      'y\r\n' +
      'E\r\n' +
      'CMD ["a"]\r\n',
  },
  { name: 'run-bom', dockerfile: '\ufeffFROM busybox\nRUN echo é > /ü\nLABEL ключ=значение\n' },
  {
    name: 'run-json-fallback',
    dockerfile: lines(
      'FROM busybox',
      'RUN [ "a" = "a" ] && echo yes > /one',
      "RUN ['echo', 'x'] || echo fell > /two",
      'CMD ["unclosed", "x"',
      'ENTRYPOINT [ "sh", "-c", "echo \\"q\\" \\u00e9" ]',
    ),
  },
  { name: 'run-fails', dockerfile: 'FROM busybox\nRUN exit 3\n', refused: true },
  {
    name: 'run-pipe',
    dockerfile: 'FROM busybox\nRUN false | true\nRUN echo $0 > /zero; echo "$@" > /args\n',
  },
  {
    name: 'run-environment',
    dockerfile: lines(
      'FROM busybox',
      'RUN env | grep -v HOSTNAME | sort > /env',
      'ENV PATH=/bin HOME=/h',
      'USER www-data',
      'RUN env | grep -v HOSTNAME | sort > /tmp/env',
      'USER 1234',
      'RUN echo $HOME $(id) > /tmp/id',
      'USER 0:33',
      'RUN id > /tmp/id2',
      'USER nobody:bin',
      'RUN id > /tmp/id3',
    ),
  },
  { name: 'run-user-missing', dockerfile: 'FROM busybox\nUSER nosuch\nRUN true\n', refused: true },
  {
    name: 'run-mount-bind',
    dockerfile: lines(
      'FROM busybox AS a',
      'RUN mkdir /d && echo 1 > /d/f && echo 2 > /g',
      'FROM busybox',
      'WORKDIR /w',
      'RUN --mount=target=/ctx --mount=from=a,source=/d,target=rel --mount=from=a,' +
        'source=/g,target=/file cat rel/f /file /ctx/x1.txt > /out; touch rel/x ' +
        '2>/dev/null || echo ro >> /out',
      'RUN --mount=type=bind,rw,source=src,target=/src echo new > /src/new && ls /src > /listed',
      'RUN ls /w /src /ctx > /after 2>/dev/null || echo gone > /gone',
    ),
    files: tree,
  },
  {
    name: 'run-mount-cache',
    dockerfile: lines(
      'FROM busybox AS seed',
      'RUN mkdir /s && echo seeded > /s/f',
      'FROM busybox',
      'RUN --mount=type=cache,id=golden-cache-1,target=/c,mode=0750,uid=5,gid=6 stat -c "%a ' +
        '%u %g" /c > /st && echo kept > /c/f',
      'RUN --mount=type=cache,id=golden-cache-1,target=/c,mode=0750,uid=5,gid=6 cat /c/f > /kept',
      'RUN --mount=type=cache,id=golden-cache-2,target=/s,from=seed,source=/s cat /s/f > /seeded',
      'RUN --mount=type=cache,id=golden-cache-1,target=/c,ro,mode=0750,uid=5,gid=6 touch ' +
        '/c/x 2>/dev/null || echo ro > /ro',
    ),
  },
  {
    name: 'run-mount-tmpfs-secret',
    dockerfile: lines(
      'FROM busybox',
      'RUN --mount=type=tmpfs,target=/t,size=1m echo x > /t/x && cp /t/x /x',
      'RUN --mount=type=secret,id=one cat /run/secrets/one > /s1 && stat -c "%a %u %g" ' +
        '/run/secrets/one >> /s1',
      'RUN --mount=type=secret,id=one,target=/etc/one,mode=0440,uid=5,gid=6 stat -c "%a %u ' +
        '%g" /etc/one > /s2',
      'RUN --mount=type=secret,id=one,env=TOKEN echo "$TOKEN" > /s3',
      'RUN --mount=type=secret,id=none ls /run/secrets > /s4 2>/dev/null || echo absent >> /s4',
    ),
    outside: { secrets: { one: 'hush' } },
    args: ['--secret', 'id=one,src={secrets}/one'],
  },
  {
    name: 'run-secret-required',
    dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=x,required true\n',
    refused: true,
  },
  {
    name: 'run-network-none',
    dockerfile: 'FROM busybox\nRUN --network=none ls /sys/class/net > /net\n',
  },
  { name: 'run-flag-unknown', dockerfile: 'FROM busybox\nRUN --nosuch=1 true\n', refused: true },
  {
    name: 'run-mount-bad',
    dockerfile: 'FROM busybox\nRUN --mount=type=bind,target=/x,nosuch=1 true\n',
    refused: true,
  },
  {
    name: 'run-special-files',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir -p /s && cd /s && mknod c c 1 3 && mknod b b 7 0 && mkfifo p && ln -s /abs ' +
        'l && ln -s ../rel m && echo h > h && ln h h2 && chown 5:6 h && chmod 2755 /s && ' +
        'chmod 1777 /tmp',
      'RUN cd /s && rm h && echo after > h2 && ln -sf new l && rm p && mkdir p && touch p/f',
      'RUN rm -rf /s/p && mv /s/m /s/n && mv /etc/nsswitch.conf /moved',
    ),
  },
  {
    name: 'run-special-names',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir "/a b" && cd "/a b" && touch "q\'q" \'d"d\' \'$v\' "*" "[x]" é "n\\\\n" && ' +
        'touch "$(printf \'l\\nb\')" && touch -- -dash .hid $(printf "%0200d" 1)',
      'RUN rm "/a b/*"',
    ),
  },
  {
    name: 'run-replaces',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir -p /r/dir/sub && echo f > /r/file && ln -s dir /r/link && echo 1 > /r/dir/sub/1',
      'RUN cd /r && rm -r dir file link && echo d > dir && mkdir file link && echo x > ' +
        'link/x && ln -s nowhere file/l',
      'RUN mv /r /moved && mkdir /r && echo again > /r/dir',
    ),
  },
  {
    name: 'bom-crlf-escape',
    dockerfile:
      '\ufeff# escape=`\r\n' +
      'FROM busybox AS base\r\n' +
      'ONBUILD COPY <<EOF /from-onbuild\r\n' +
      'hello `\r\n' +
      'EOF\r\n' +
      'FROM base\r\n' +
      'RUN echo a `\r\n' +
      '   b > /cont\r\n' +
      '# c\r\n' +
      'RUN 3<<EOF cat <&3 > /three\r\n' +
      'three\r\n' +
      'EOF\r\n' +
      'RUN ["sh", "-c", "echo x > /json"]\r\n',
  },
  {
    name: 'heredoc-scripts',
    dockerfile:
      'FROM busybox AS base\n' +
      'ONBUILD RUN <<EOF\n' +
      'echo "$0" > /zero\n' +
      'EOF\n' +
      'FROM base\n' +
      'RUN <<EOF\n' +
      '#!/bin/sh -e\n' +
      'echo "$0" > /script\n' +
      'EOF\n' +
      'RUN cat <<A <<B > /two\n' +
      'a\n' +
      'A\n' +
      'b\n' +
      'B\n' +
      'RUN <<-\\EOF cat > /quoted\n' +
      '\t$A\n' +
      '\tEOF\n' +
      'RUN <<EOF sh > /piped\n' +
      'echo $0\n' +
      'EOF\n' +
      'RUN ["sh", -c] || echo fallback > /fallback\n',
  },
];
