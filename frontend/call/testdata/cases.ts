/** What Docker was asked about, and the test asks Kiln: `scripts/oracle-calls.ts` freezes the answers in answers.json. */
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
  { name: 'nothing-to-say', dockerfile: 'FROM scratch\nCMD ["a"]\n', calls: ['check', 'outline', 'targets'] },
  {
    name: 'two-warnings',
    dockerfile: '# a comment\nFROM scratch AS Foo\n\nLABEL a=b\nLABEL c=d\nCMD foo\nLABEL e=f\n',
    calls: ['check', 'targets'],
  },
  { name: 'error-true', dockerfile: '# check=error=true\nFROM scratch AS Foo\nLABEL a=b\n', calls: ['check', 'outline', 'targets'] },
  { name: 'skipped', dockerfile: '# check=skip=StageNameCasing\nFROM scratch AS Foo\nENV a b\n', calls: ['check'] },
  { name: 'all-skipped', dockerfile: '# check=skip=all;error=true\nFROM scratch AS Foo\nENV a b\n', calls: ['check'] },
  {
    name: 'options-from-outside',
    dockerfile: '# check=skip=all\nFROM scratch AS Foo\n',
    buildArgs: { BUILDKIT_DOCKERFILE_CHECK: 'error=true' },
    calls: ['check'],
  },
  { name: 'parse-error', dockerfile: 'FROM scratch AS foo\nRUM a\n', calls: ['check', 'outline', 'targets'] },
  { name: 'late-error', dockerfile: 'FROM scratch AS Foo\nEXPOSE a/b/c\n', calls: ['check', 'outline'] },
  { name: 'no-such-target', dockerfile: 'FROM scratch AS foo\n', target: 'nosuch', calls: ['check', 'outline', 'targets'] },
  {
    name: 'unused-stages-are-checked',
    dockerfile: 'FROM scratch AS un\nENV A=$B\nWORKDIR x\nFROM scratch AS end\nCMD x\n',
    calls: ['check', 'targets'],
  },
  {
    name: 'ignored-file',
    dockerfile: '# check=experimental=CopyIgnoredFile\nFROM scratch\nCOPY a.log b/ ./\nADD c /\n',
    ignore: '*.log\nb\n',
    calls: ['check'],
  },
  { name: 'ignored-file-unasked', dockerfile: 'FROM scratch\nCOPY a.log ./\n', ignore: '*.log\n', calls: ['check'] },
  {
    name: 'heredoc',
    dockerfile: 'FROM scratch AS a\nCOPY <<EOF /x\none\ntwo\nEOF\nCMD <<EOF\nENV x y\n',
    calls: ['check'],
  },
  { name: 'crlf', dockerfile: 'FROM scratch AS Foo\r\nLABEL a=b\r\nCMD x\r\n', calls: ['check', 'targets'] },
  { name: 'stages', dockerfile: STAGES, calls: ['outline', 'targets', 'check'] },
  { name: 'stages-with-args', dockerfile: STAGES, buildArgs: { NOVAL: '5', FOO: 'cli', DEP: 'cli', A: '9' }, calls: ['outline'] },
  { name: 'stages-mid', dockerfile: STAGES, target: 'mid', calls: ['outline'] },
  { name: 'stages-other', dockerfile: STAGES, target: 'OTHER', calls: ['outline', 'targets'] },
  {
    name: 'unnamed-stages',
    dockerfile: 'FROM scratch as One\n\n# two\nFROM one\n# a global note\n\n# long-name is so long\nFROM scratch as long-name\nFROM one\n',
    calls: ['targets', 'outline'],
  },
  {
    name: 'descriptions',
    dockerfile: '# a text\n# base is one\n# more\nFROM scratch AS base\n#\n# X not for X\n#\nARG X\n# X is x\n# Y is y\nARG X=1 Z=3\n',
    calls: ['targets'],
  },
];
