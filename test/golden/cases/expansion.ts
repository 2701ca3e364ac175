import { type GoldenCase, lines } from '../case.ts';
import { tree } from './basic.ts';

/** Word expansion in the arguments that Docker expands, and the scopes of ARG and ENV. */
export const EXPANSION: readonly GoldenCase[] = [
  {
    name: 'expand-forms',
    dockerfile: lines(
      'FROM busybox',
      'ENV SET=value EMPTY= P=/a/b/c.tar.gz',
      'ENV A=${SET:-d} B=${EMPTY:-d} C=${UNSET:-d} D=${EMPTY-d} E=${UNSET-d} F=${SET:+w} ' +
        'G=${EMPTY:+w} H=${EMPTY+w} I=${UNSET+w}',
      'ENV J=${P#*/} K=${P##*/} L=${P%.*} M=${P%%.*} N=${P/b/X} O=${P//a/X} Q=${P#/a/} R=${P%z?p}',
      'ENV S="${UNSET:-${SET}-${EMPTY:-in ner}}" T="${UNSET:-"q"}" U=\'$SET\' V="\\$SET ' +
        '$SET" W=\\$SET X=${SET}_$SET$SET',
      'ENV Y=$UNSET Z="a  b"\\ c',
    ),
  },
  {
    name: 'expand-every-field',
    dockerfile: lines(
      'ARG IMAGE=busybox',
      'ARG PLATFORM=linux/amd64',
      'FROM --platform=${PLATFORM} ${IMAGE} AS first',
      'RUN mkdir /out && echo x > /out/file',
      'FROM ${IMAGE}',
      'ARG V=val',
      'ARG W=${V}2',
      'ENV DIR=/dir$W U=33 PORT=80 SIG=SIGUSR1',
      'LABEL "$V"=$V k-$V="$W"',
      'WORKDIR $DIR/${V}',
      'COPY --from=first /out/file ${DIR}/copied',
      'COPY --chown=$U:$U --chmod=0${U:-1}3 ${V:-}x.txt $DIR/',
      'ADD --chown=$U x1.* $DIR/added/',
      'VOLUME $DIR/vol ["$DIR/json"]',
      'VOLUME ["$DIR/only", "${V}"]',
      'EXPOSE $PORT ${PORT}8/udp',
      'USER $U:${U}',
      'STOPSIGNAL $SIG',
      'ONBUILD RUN echo $V',
      'MAINTAINER $V',
      'HEALTHCHECK CMD echo $V',
      'ENTRYPOINT ["$V"]',
      'CMD $V ${W}',
    ),
    files: { ...tree, 'valx.txt': 'v' },
  },
  {
    name: 'expand-same-instruction',
    dockerfile: lines(
      'FROM busybox',
      'ENV A=old',
      'ENV A=new B=$A C=${A}',
      'LABEL x=$A y=$B',
      'ENV D=$D:1',
      'ENV D=$D:2 D=$D:3',
    ),
  },
  {
    name: 'expand-escape-backtick',
    dockerfile: lines(
      '# escape=`',
      'FROM busybox',
      'ENV A=1 `',
      '    B="`$A" C=`$A D="\\$A" E=c:\\dir\\ F=a` b',
      'LABEL p="C:\\x\\$A"',
      'RUN echo "$A `',
      '  two" > /out',
      'CMD echo `',
    ),
  },
  {
    name: 'expand-patterns',
    dockerfile: lines(
      'FROM busybox',
      'ENV F=foobarfoo S="a*b" Q=x/y',
      'ENV A=${F#f*o} B=${F##f*o} C=${F%o*} D=${F%%o*} E=${F/foo/} G=${F//foo/-} ' +
        'H=${F/o?/[} I=${S/\\*/+} J=${Q//\\//_} K=${F/#/} L=${F#?}',
      'ENV M=${F%foo}${F#foo} N="${F/bar/ b }" O=${F//o/oo} P=${F/*/all}',
    ),
  },
  {
    name: 'expand-required',
    dockerfile: 'FROM busybox\nARG V\nLABEL x="${V:?must be given}"\n',
    refused: true,
  },
  { name: 'expand-required-unset', dockerfile: 'FROM busybox\nLABEL x=${V?}\n', refused: true },
  { name: 'expand-unclosed', dockerfile: 'FROM busybox\nLABEL x=${V\n', refused: true },
  { name: 'expand-modifier', dockerfile: 'FROM busybox\nLABEL x=${V:/a}\n', refused: true },
  {
    name: 'arg-scopes',
    dockerfile: lines(
      'ARG G=global',
      'ARG H=${G}2',
      'FROM busybox AS a',
      'RUN echo "[$G][$H][$X]" > /before',
      'ARG G',
      'ARG H=own',
      'ARG X=$H-$G',
      'RUN echo "[$G][$H][$X]" > /after',
      'FROM a',
      'RUN echo "[$G][$H][$X]" > /inherited',
      'ARG Q="two words" R=\'$G\'',
      'RUN echo "[$Q][$R]" > /quoted',
      'ENV G=env',
      'ARG G=late',
      'RUN echo "[$G]" > /env-wins',
      'LABEL g=$G h=$H',
    ),
  },
  {
    name: 'arg-given',
    dockerfile: lines(
      'ARG TAG=nowhere',
      'FROM busybox:$TAG',
      'ARG A=1 B=2 C',
      'ARG UNUSED=x',
      'ENV D=$A$B$C',
      'RUN echo "$A $B $C" > /args; env | grep -c UNUSED > /unused || true',
    ),
    args: [
      '--build-arg',
      'TAG=latest',
      '--build-arg',
      'A=',
      '--build-arg',
      'B=given by "caller" $A',
      '--build-arg',
      'C=3',
    ],
  },
  {
    name: 'arg-predefined',
    dockerfile: lines(
      'FROM busybox',
      'RUN echo "$HTTP_PROXY $no_proxy" > /one',
      'ARG NO_PROXY',
      'RUN echo "$HTTP_PROXY $NO_PROXY" > /two',
      'ENV FTP_PROXY=mine',
      'RUN echo "$FTP_PROXY" > /three',
    ),
    args: ['HTTP_PROXY=http://p.invalid:1', 'no_proxy=a,b', 'NO_PROXY=c', 'FTP_PROXY=f'].flatMap(
      (arg) => ['--build-arg', arg],
    ),
  },
  {
    name: 'arg-platforms',
    dockerfile: lines(
      'FROM --platform=$BUILDPLATFORM busybox AS build',
      'ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT BUILDPLATFORM BUILDOS BUILDARCH ' +
        'BUILDVARIANT TARGETSTAGE',
      'RUN echo ' +
        '"$TARGETPLATFORM|$TARGETOS|$TARGETARCH|$TARGETVARIANT|$BUILDPLATFORM|$BUILDOS|' +
        '$BUILDARCH|$BUILDVARIANT|$TARGETSTAGE" ' +
        '> /out',
      'FROM busybox AS last',
      'ARG TARGETARCH',
      'COPY --from=build /out /built-for-$TARGETARCH',
      'COPY bin/$TARGETARCH /bin/tool',
      'LABEL arch=$TARGETARCH',
    ),
    files: { 'bin/amd64': 'x', 'bin/arm64': 'a' },
    args: ['--platform', 'linux/amd64,linux/arm64'],
    platforms: ['linux/amd64', 'linux/arm64'],
  },
  {
    name: 'arg-from-platform',
    dockerfile: lines(
      'FROM --platform=linux/arm64 busybox AS arm',
      'FROM busybox',
      'COPY --from=arm /bin/busybox /arm-busybox',
    ),
  },
];
