import { type GoldenCase, lines } from '../case.ts';
import { tree } from './basic.ts';

/** Stages and ONBUILD. */
export const STAGES: readonly GoldenCase[] = [
  {
    name: 'onbuild-copy-from',
    dockerfile: lines(
      'FROM busybox AS tools',
      'RUN echo tool > /tool',
      'FROM busybox AS parent',
      'ONBUILD COPY --from=tools /tool /tool',
      'ONBUILD RUN --mount=from=tools,source=/tool,target=/mnt/tool cat /mnt/tool > /read ' +
        '&& cat /ctx/package.json > /pkg || true',
      'FROM parent',
      'RUN cat /tool > /own',
    ),
    files: tree,
  },
  {
    name: 'onbuild-run-mount',
    dockerfile: lines(
      'FROM busybox AS parent',
      'ONBUILD RUN --mount=type=bind,target=/ctx --mount=type=cache,target=/c cp ' +
        '/ctx/package.json /p && touch /c/x',
      'ONBUILD ADD --chown=1:2 src /src',
      'ONBUILD ENV FROM_PARENT=yes',
      'ONBUILD WORKDIR /made',
      'ONBUILD USER 5',
      'FROM parent AS child',
      'RUN id -u > /tmp/id && pwd >> /tmp/id && echo $FROM_PARENT >> /tmp/id',
    ),
    files: tree,
  },
  {
    name: 'onbuild-chain',
    dockerfile: lines(
      'FROM busybox AS grand',
      'ONBUILD ENV GRAND=1',
      'ONBUILD RUN echo grand >> /log',
      'FROM grand AS parent',
      'ONBUILD RUN echo parent >> /log',
      'ONBUILD LABEL parent=$GRAND',
      'FROM parent AS child',
      'RUN echo child >> /log',
    ),
  },
  {
    name: 'onbuild-heredoc',
    dockerfile: lines(
      'FROM busybox AS parent',
      'ENV WHO=parent',
      'ONBUILD RUN <<EOF',
      'echo one > /one',
      'echo $WHO > /two',
      'EOF',
      'ONBUILD COPY <<-"raw" <<cooked /dir/',
      '\tkept $WHO',
      'raw',
      'seen $WHO',
      'cooked',
      'FROM parent',
      'ENV WHO=child',
    ),
  },
  {
    name: 'onbuild-kept',
    dockerfile: lines(
      'FROM busybox',
      'onbuild   run echo $HOME  "a  b"',
      'ONBUILD COPY --chown=1:1 a b /c/',
      'ONBUILD RUN ["a", "b"]',
      'ONBUILD EXPOSE 80',
      'ONBUILD HEALTHCHECK --interval=5s CMD x',
      'ONBUILD RUN <<E',
      'body',
      'E',
    ),
  },
  {
    name: 'onbuild-fails',
    dockerfile: 'FROM busybox AS p\nONBUILD RUN --mount=type=nosuch x\nFROM p\n',
    refused: true,
  },
  {
    name: 'stage-names',
    dockerfile: lines(
      'FROM busybox AS Build',
      'RUN echo b > /b',
      'FROM busybox AS busybox2',
      'COPY --from=BUILD /b /one',
      'COPY --from=0 /b /two',
      'FROM busybox2 as last.stage-3_x',
      'COPY --from=busybox2 /one /three',
    ),
  },
  {
    name: 'stage-shadowed',
    dockerfile: lines(
      'FROM busybox AS a',
      'RUN echo first > /f',
      'FROM busybox AS a',
      'RUN echo second > /f',
      'FROM busybox',
      'COPY --from=a /f /f',
    ),
  },
  {
    name: 'stage-config-inherited',
    dockerfile: lines(
      'FROM busybox AS a',
      'ENV A=1',
      'ARG ONLY=arg',
      'WORKDIR /w',
      'USER 7:8',
      'SHELL ["/bin/sh", "-ec"]',
      'EXPOSE 1',
      'LABEL l=a',
      'CMD ["a"]',
      'ENTRYPOINT ["e"]',
      'FROM a AS b',
      'RUN echo "$A $ONLY" > /tmp/seen; pwd >> /tmp/seen; id -u >> /tmp/seen',
      'EXPOSE 2/udp',
      'LABEL m=b',
      'ENTRYPOINT ["f"]',
    ),
  },
  {
    name: 'target-index',
    refused: true,
    dockerfile:
      'FROM busybox\n' +
      'RUN echo 0 > /n\n' +
      'FROM busybox AS one\n' +
      'RUN echo 1 > /n\n' +
      'FROM nowhere.invalid/x\n',
    args: ['--target', '1'],
  },
  {
    name: 'target-case',
    dockerfile: 'FROM busybox AS Dev\nENV X=1\nCMD ["dev"]\nFROM busybox\nRUN false\n',
    args: ['--target=DEV'],
  },
  {
    name: 'target-missing',
    dockerfile: 'FROM busybox AS a\n',
    args: ['--target', 'b'],
    refused: true,
  },
  {
    name: 'stage-cycle',
    dockerfile: 'FROM busybox AS a\nCOPY --from=a /bin/sh /x\n',
    refused: true,
  },
  {
    name: 'stage-later',
    dockerfile: 'FROM busybox AS a\nCOPY --from=1 /f /x\nFROM busybox\nRUN echo later > /f\n',
    args: ['--target', 'a'],
    refused: true,
  },
  { name: 'from-scratch-empty', dockerfile: 'FROM scratch\nLABEL a=b\n' },
  { name: 'from-only', dockerfile: 'FROM busybox\n' },
  { name: 'from-scratch-run', dockerfile: 'FROM scratch\nRUN ["/x"]\n', refused: true },
  {
    name: 'from-scratch-workdir',
    dockerfile: lines(
      'FROM scratch',
      'WORKDIR /a/b',
      'COPY package.json .',
      'COPY --chown=5:5 --link src /c/',
      'ENV X=1',
      'USER nobody',
    ),
    files: tree,
  },
];
