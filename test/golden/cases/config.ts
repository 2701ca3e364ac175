import { type GoldenCase, lines } from '../case.ts';
import { UNKNOWN_CONFIG, UNKNOWN_FIELDS } from '../odd.ts';
import { tree } from './basic.ts';

const KEEPS_UNKNOWN: GoldenCase['differs'] = {
  why: 'fields of a base that the frontend does not know are kept',
  expect: ({ config, ...rest }) => ({
    ...rest,
    config: {
      ...config,
      ...UNKNOWN_FIELDS,
      config: { ...(config['config'] as object), ...UNKNOWN_CONFIG },
    },
  }),
};

/** Instructions that change only the config and history of the image. */
export const CONFIG: readonly GoldenCase[] = [
  {
    name: 'config-expose',
    dockerfile: lines(
      'FROM busybox',
      'EXPOSE 3000-3003 4000-4001/udp 22/TCP 5-5/sctp 80 80/tcp 53/udp 53/tcp',
      'EXPOSE "99" 8080:80',
      'ENV P="1 2"',
      'EXPOSE $P 65535 0',
    ),
  },
  { name: 'config-expose-bad', dockerfile: 'FROM busybox\nEXPOSE 99999\n', refused: true },
  { name: 'config-expose-word', dockerfile: 'FROM busybox\nEXPOSE http\n', refused: true },
  { name: 'config-expose-protocol', dockerfile: 'FROM busybox\nEXPOSE 80/foo\n', refused: true },
  {
    name: 'config-healthcheck',
    dockerfile: lines(
      'FROM busybox AS a',
      'HEALTHCHECK --interval=1m30s --timeout=1500ms --start-period=0.5h ' +
        '--start-interval=2s --retries=7 CMD ["test", "-e", "/x"]',
      'FROM a AS b',
      'HEALTHCHECK --retries=0 CMD  exit   1',
      'FROM b',
      'LABEL x=1',
    ),
  },
  {
    name: 'config-healthcheck-shell',
    dockerfile: 'FROM busybox\nSHELL ["/bin/sh", "-ec"]\nHEALTHCHECK --timeout=3s CMD a || b\n',
  },
  {
    name: 'config-healthcheck-retries',
    dockerfile: lines(
      'FROM busybox AS a',
      'HEALTHCHECK --retries=55296 CMD a',
      'FROM a AS b',
      'HEALTHCHECK --retries=9999999 CMD b',
      'FROM b AS c',
      'HEALTHCHECK --retries=39 --timeout=2540400h10m CMD c',
      'FROM c',
      'HEALTHCHECK --retries=128512 --interval=1h0m0.000000001s CMD d',
    ),
  },
  {
    name: 'config-healthcheck-none',
    dockerfile: 'FROM busybox AS a\nHEALTHCHECK CMD x\nFROM a\nHEALTHCHECK NONE\n',
  },
  {
    name: 'config-healthcheck-bad',
    dockerfile: 'FROM busybox\nHEALTHCHECK --interval=5 CMD x\n',
    refused: true,
  },
  {
    name: 'config-healthcheck-short',
    dockerfile: 'FROM busybox\nHEALTHCHECK --interval=1us CMD x\n',
    refused: true,
  },
  {
    name: 'config-shell-json',
    dockerfile: lines(
      'FROM busybox',
      'SHELL ["/bin/sh", "-e", "-c"]',
      'RUN echo "x" > /x',
      'CMD echo  two   spaces',
      'ENTRYPOINT exec top -b',
      'SHELL ["/bin/busybox", "sh", "-c"]',
      'RUN echo y > /y',
      'ONBUILD RUN z',
    ),
  },
  { name: 'config-shell-not-json', dockerfile: 'FROM busybox\nSHELL /bin/sh -c\n', refused: true },
  {
    name: 'config-cmd-reset',
    dockerfile: lines(
      'FROM busybox AS a',
      'CMD ["a"]',
      'FROM a AS b',
      'ENTRYPOINT ["e"]',
      'FROM b AS c',
      'CMD ["c"]',
      'ENTRYPOINT ["f"]',
      'FROM c',
      'ENTRYPOINT []',
      'CMD []',
    ),
  },
  {
    name: 'config-cmd-kept',
    dockerfile:
      'FROM busybox AS a\nENTRYPOINT ["e"]\nCMD ["c"]\nFROM a\nENTRYPOINT ["g"]\nLABEL x=y\n',
  },
  {
    name: 'config-volumes',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir /v && echo before > /v/f',
      'VOLUME /v',
      'RUN echo after > /v/g',
      'VOLUME rel ./dot /a/../b "/q"',
      'VOLUME []',
    ),
    refused: true,
  },
  {
    name: 'config-volume-forms',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir /v',
      'VOLUME /v',
      'RUN echo after > /v/g',
      'VOLUME rel ./dot /a/../b /t/',
      'VOLUME ["/j", "k l"]',
    ),
  },
  {
    name: 'config-users',
    dockerfile: lines(
      'FROM busybox',
      'USER www-data',
      'WORKDIR /by/www',
      'COPY x1.txt .',
      'RUN touch /tmp/by',
      'USER 0',
      'RUN id -un > /who',
      'USER nobody:nogroup',
    ),
    files: tree,
  },
  {
    name: 'config-workdirs',
    dockerfile: lines(
      'FROM busybox',
      'WORKDIR rel',
      'WORKDIR ../up/./x//y/',
      'ENV D=dir',
      'WORKDIR $D',
      'RUN pwd > /pwd',
      'WORKDIR "/quo ted"',
      'WORKDIR /etc/..',
      'RUN pwd >> /pwd',
      'WORKDIR /tmp/',
    ),
  },
  {
    name: 'config-workdir-file',
    dockerfile: 'FROM busybox\nWORKDIR /etc/passwd\nRUN true\n',
    refused: true,
  },
  {
    name: 'config-stopsignals',
    dockerfile:
      'FROM busybox AS a\nSTOPSIGNAL SIGKILL\nFROM a\nSTOPSIGNAL 9\nSTOPSIGNAL sigrtmin+3\n',
  },
  {
    name: 'config-stopsignal-bad',
    dockerfile: 'FROM busybox\nSTOPSIGNAL SIGNOPE\n',
    refused: true,
  },
  {
    name: 'config-env-forms',
    dockerfile: lines(
      'FROM busybox',
      'ENV legacy  some   text  with "quotes" and \'single\'  ',
      'ENV a=b\\ c d="e\\"f" g=\'h i\' j=k"l"m',
      'ENV with-dash=1 with.dot=2 empty="" quote=\\"',
      'ENV multi="one\\',
      '  two"',
      'ENV one two=three',
      'RUN env | grep -v HOSTNAME | sort > /env',
    ),
  },
  {
    name: 'config-label-forms',
    dockerfile: lines(
      'FROM busybox',
      'LABEL "com.example.vendor"="ACME Inc" a.b-c_d=1 empty=',
      'LABEL version="1.0" \\',
      '      description="over \\',
      'lines" "quoted key"=\'$HOME\'',
      'LABEL legacy one',
      'LABEL version=2',
    ),
  },
  { name: 'config-env-bad', dockerfile: 'FROM busybox\nENV a=b c\n', refused: true },
  { name: 'config-env-no-name', dockerfile: 'FROM busybox\nENV =b\n', refused: true },
  { name: 'config-label-none', dockerfile: 'FROM busybox\nLABEL\n', refused: true },
  {
    name: 'config-maintainer',
    dockerfile: 'FROM busybox\nMAINTAINER  Jane  Doe <j@example.org> \nMAINTAINER second\n',
  },
  {
    name: 'config-case-and-space',
    dockerfile:
      '# c\n\n' +
      '  from busybox\n' +
      '\tenv A=1\n' +
      '  Run   echo  x   >  /x\n' +
      'cmd   [ "a" ,"b" ]\n' +
      'Label a=b\\\n\n' +
      '  c=d\n' +
      '#end',
  },
  {
    name: 'config-history',
    dockerfile: lines(
      'FROM busybox',
      'ARG A=1',
      'ARG B',
      'RUN echo "$A" \\',
      '  && true',
      'RUN --mount=type=tmpfs,target=/t --network=none true',
      'RUN ["true"]',
      'RUN <<EOF',
      'true',
      'EOF',
      'COPY --chown=1:1 x1.txt src /d/',
      'COPY <<E /e',
      'E',
      'ADD x2.txt /',
      'WORKDIR /a',
      'WORKDIR /a',
      'USER 1',
      'EXPOSE 1 2',
      'VOLUME ["/v"]',
      'ENTRYPOINT ["a", "b c"]',
      'CMD a "b"',
      'HEALTHCHECK NONE',
      'SHELL ["x"]',
      'STOPSIGNAL 9',
      'ONBUILD RUN x',
      'LABEL a=$A',
      'ENV E=$A',
    ),
    files: tree,
    args: ['--build-arg', 'B=given'],
  },
  {
    name: 'base-unknown-fields',
    dockerfile: lines(
      'FROM kiln-golden-odd',
      'LABEL shared=own new=1',
      'EXPOSE 2',
      'VOLUME /w',
      'RUN id > /id; echo $TRIGGERED > /env',
    ),
    base: 'odd',
    differs: KEEPS_UNKNOWN,
  },
  {
    name: 'base-fields-overridden',
    dockerfile: lines(
      'FROM kiln-golden-odd AS a',
      'HEALTHCHECK NONE',
      'USER 3',
      'STOPSIGNAL 9',
      'FROM a',
      'ONBUILD RUN x',
      'CMD ["new"]',
    ),
    base: 'odd',
    differs: KEEPS_UNKNOWN,
  },
  { name: 'parse-unknown', dockerfile: 'FROM busybox\nRUNN true\n', refused: true },
  { name: 'parse-empty', dockerfile: '# nothing\n', refused: true },
  { name: 'parse-no-from', dockerfile: 'RUN true\n', refused: true },
  { name: 'parse-from-three', dockerfile: 'FROM busybox as\n', refused: true },
  { name: 'parse-stage-name', dockerfile: 'FROM busybox AS 1a\n', refused: true },
  {
    name: 'parse-onbuild-onbuild',
    dockerfile: 'FROM busybox\nONBUILD ONBUILD RUN x\n',
    refused: true,
  },
  {
    name: 'parse-directive-twice',
    dockerfile: '# escape=`\n# escape=\\\nFROM busybox\n',
    refused: true,
  },
  { name: 'parse-escape-bad', dockerfile: '# escape=x\nFROM busybox\n', refused: true },
  { name: 'parse-continuation-end', dockerfile: 'FROM busybox\nENV A=1 \\' },
];
