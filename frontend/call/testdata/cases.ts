/**
 * The questions that Docker was asked and that the test asks Kiln. `scripts/oracle-calls.ts`
 * freezes Docker's answers in answers.json.
 */
export interface CallCase {
  readonly name: string;
  readonly dockerfile: string;
  readonly ignore?: string;
  readonly target?: string;
  readonly buildArgs?: Readonly<Record<string, string>>;
  readonly calls: readonly ('check' | 'outline' | 'targets')[];
}

const STAGES = `# BASE is base
ARG BASE=scratch
# DEP is dep
ARG DEP=x
ARG VIA=\${DEP}y UNUSED=u
# PLAT is platform
ARG PLAT=linux/amd64

# tools has tools
FROM --platform=$PLAT $BASE AS tools
ARG A=1
ARG VIA
# FOO is foo of tools
ARG FOO=tools
RUN --mount=type=secret,id=s1 a
RUN --mount=type=secret,target=/x/s2 b
RUN --mount=type=secret,env=HELLO,id=s3,required a
RUN --mount=type=secret,id=s1,required --mount=type=ssh,id=k b

FROM tools AS mid
# FOO is foo of mid
ARG FOO=mid$A
ARG TARGETOS
ARG TARGETPLATFORM=linux/foo
RUN --mount=type=ssh x

# other is unused
FROM scratch AS other
ARG OTHER=1

# end the end
FROM scratch AS end
COPY --from=mid /a /b
ARG NOVAL
ARG HTTP_PROXY
`;

export const CASES: readonly CallCase[] = [
  {
    name: 'nothing-to-say',
    dockerfile: 'FROM scratch\nCMD ["a"]\n',
    calls: ['check', 'outline', 'targets'],
  },
  {
    name: 'two-warnings',
    dockerfile: '# a comment\nFROM scratch AS Foo\n\nLABEL a=b\nLABEL c=d\nCMD foo\nLABEL e=f\n',
    calls: ['check', 'targets'],
  },
  {
    name: 'error-true',
    dockerfile: '# check=error=true\nFROM scratch AS Foo\nLABEL a=b\n',
    calls: ['check', 'outline', 'targets'],
  },
  {
    name: 'skipped',
    dockerfile: '# check=skip=StageNameCasing\nFROM scratch AS Foo\nENV a b\n',
    calls: ['check'],
  },
  {
    name: 'all-skipped',
    dockerfile: '# check=skip=all;error=true\n' + 'FROM scratch AS Foo\n' + 'ENV a b\n',
    calls: ['check'],
  },
  {
    name: 'options-from-outside',
    dockerfile: '# check=skip=all\nFROM scratch AS Foo\n',
    buildArgs: { BUILDKIT_DOCKERFILE_CHECK: 'error=true' },
    calls: ['check'],
  },
  {
    name: 'parse-error',
    dockerfile: 'FROM scratch AS foo\nRUM a\n',
    calls: ['check', 'outline', 'targets'],
  },
  {
    name: 'late-error',
    dockerfile: 'FROM scratch AS Foo\nEXPOSE a/b/c\n',
    calls: ['check', 'outline'],
  },
  {
    name: 'no-such-target',
    dockerfile: 'FROM scratch AS foo\n',
    target: 'nosuch',
    calls: ['check', 'outline', 'targets'],
  },
  {
    name: 'unused-stages-are-checked',
    dockerfile: 'FROM scratch AS un\nENV A=$B\nWORKDIR x\nFROM scratch AS end\nCMD x\n',
    calls: ['check', 'targets'],
  },
  {
    name: 'ignored-file',
    dockerfile: '# check=experimental=CopyIgnoredFile\nFROM scratch\nCOPY a.log b ./\nADD c /\n',
    ignore: '*.log\nb\n',
    calls: ['check'],
  },
  {
    name: 'heredoc',
    dockerfile: 'FROM scratch AS a\nCOPY <<EOF /x\none\ntwo\nEOF\nCMD <<EOF\nENV x y\n',
    calls: ['check'],
  },
  {
    name: 'crlf',
    dockerfile: 'FROM scratch AS Foo\r\nLABEL a=b\r\nCMD x\r\n',
    calls: ['check', 'targets'],
  },
  { name: 'stages', dockerfile: STAGES, calls: ['outline', 'targets', 'check'] },
  {
    name: 'stages-with-args',
    dockerfile: STAGES,
    buildArgs: { NOVAL: '5', FOO: 'cli', DEP: 'cli', A: '9' },
    calls: ['outline'],
  },
  { name: 'stages-mid', dockerfile: STAGES, target: 'mid', calls: ['outline'] },
  { name: 'stages-other', dockerfile: STAGES, target: 'OTHER', calls: ['outline', 'targets'] },
  {
    name: 'unnamed-stages',
    dockerfile:
      'FROM scratch as One\n\n' +
      '# two\n' +
      'FROM one\n' +
      '# a global note\n\n' +
      '# long-name is so long\n' +
      'FROM scratch as long-name\n' +
      'FROM one\n',
    calls: ['targets', 'outline'],
  },
  {
    name: 'descriptions',
    dockerfile:
      '# a text\n' +
      '# base is one\n' +
      '# more\n' +
      'FROM scratch AS base\n' +
      '#\n' +
      '# X not for X\n' +
      '#\n' +
      'ARG X\n' +
      '# X is x\n' +
      '# Y is y\n' +
      'ARG X=1 Z=3\n',
    calls: ['targets'],
  },
  {
    name: 'order-of-warnings',
    dockerfile: `# check=experimental=all
ARG secret_key
# wrong: description
ARG UNSET
from scratch as Foo
maintainer joe
env key value
ENV PASSWORD=x
label a b
label \

  c=d
EXPOSE 80/TCP 127.0.0.1:1:1/UDP
workdir rel
cmd echo hi
from --platform=linux/amd64 \${UNSET:-scratch} AS bar
CMD echo a
LABEL between=1
CMD echo b
ENV X=$undefd key=\${other}
env KEY $third
entrypoint x
Copy --from=Foo /a /b
FROM --platform=$TARGETPLATFORM scratch as context
ENV x y
COPY ign /x
maintainer jim
HEALTHCHECK CMD echo
healthcheck cmd [ "x" ]
FROM scratch AS CONTEXT
FROM \${UNSET:-scratch} AS last
`,
    ignore: 'ign\n',
    calls: ['check'],
  },
  {
    name: 'target-of-a-check',
    dockerfile: 'FROM scratch AS a\nENV x y\nFROM scratch AS b\nENV z y\nFROM a AS c\nLABEL q r\n',
    target: 'c',
    calls: ['check', 'outline'],
  },
  {
    name: 'several-lines',
    dockerfile:
      'ARG A=1 \\\n' +
      '  B=2\n' +
      'FROM scratch \\\n' +
      '  AS Foo\n' +
      'ARG A\n' +
      'ARG B\n' +
      'CMD echo \\\n' +
      '# comment\n\n' +
      '  b\n' +
      'ENV a \\\n' +
      '  b\n' +
      'ENTRYPOINT <<E\n' +
      'x\n' +
      'E\n' +
      'FROM Foo \\\n' +
      '  AS last\n',
    calls: ['check', 'outline', 'targets'],
  },
  {
    name: 'several-lines-parse-error',
    dockerfile: 'FROM scratch as Foo\n' + 'COPY --foo=x \\\n' + '  a \\\n' + '# c\n' + '  b\n',
    calls: ['check'],
  },
  { name: 'several-lines-unknown', dockerfile: 'FROM scratch\nFOO a \\\n  b\n', calls: ['check'] },
  {
    name: 'warnings-before-a-parse-error',
    dockerfile: 'FROM scratch as Foo\n' + 'ENV a b\n' + 'MAINTAINER x\n' + 'COPY a\n',
    calls: ['check'],
  },
  {
    name: 'warnings-before-an-error',
    dockerfile:
      'FROM scratch as Foo\n' +
      'COPY --from=x a b\n' +
      'FROM scratch\n' +
      'FROM ${undefined}\n' +
      'ENV a b\n',
    calls: ['check'],
  },
  {
    name: 'warnings-before-an-error-of-a-step',
    dockerfile: 'FROM scratch as foo\n' + 'ENV a b\n' + 'EXPOSE x/y/z\n' + 'ENV c d\n',
    calls: ['check'],
  },
  {
    name: 'platform-args',
    dockerfile:
      'ARG TARGETARCH\n' +
      'ARG TARGETOS=plan9\n' +
      'ARG BUILDPLATFORM=linux/x\n' +
      'FROM scratch AS base-amd64\n' +
      'ARG TARGETOS\n' +
      'ARG TARGETARCH\n' +
      'ARG BUILDKIT_SYNTAX\n' +
      'ARG HTTP_PROXY=3\n' +
      'ARG TARGETPLATFORM=foo\n' +
      'FROM base-${TARGETARCH}\n' +
      'COPY x /\n' +
      'ARG SOURCE_DATE_EPOCH\n' +
      'ARG BUILDARCH\n',
    calls: ['outline'],
  },
  {
    name: 'platform-args-given',
    dockerfile:
      'ARG TARGETARCH\n' +
      'FROM scratch AS base-amd64\n' +
      'FROM base-${TARGETARCH}\n' +
      'ARG SOURCE_DATE_EPOCH\n',
    buildArgs: { TARGETARCH: 'amd64', SOURCE_DATE_EPOCH: '5' },
    calls: ['outline'],
  },
];
