/**
 * A build that BuildKit is asked about. `scripts/oracle-llb.ts` runs it and freezes the answer as
 * `NAME.golden` beside this file.
 */
export interface OracleCase {
  readonly name: string;
  readonly dockerfile: string;
  readonly options?: OracleOptions;
}

export interface OracleOptions {
  readonly target?: string;
  readonly buildArgs?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly platforms?: readonly string[];
  readonly network?: 'default' | 'none' | 'host';
  readonly noCache?: 'all' | readonly string[];
  readonly pull?: boolean;
  readonly addHosts?: readonly string[];
  readonly ulimits?: readonly string[];
  readonly shmSize?: string;
  readonly cgroupParent?: string;
  readonly ignore?: readonly string[];
  /** `docker-image://…`, or `local` for a directory. */
  readonly contexts?: Readonly<Record<string, string>>;
}

/** The images that cases build on: their config as a Dockerfile on scratch. */
export const BASES: Readonly<
  Record<string, { readonly dockerfile: string; readonly platform?: string }>
> = {
  'oracle/base:latest': {
    dockerfile:
      'FROM scratch\n' + 'COPY file /file\n' + 'ENV PATH=/bin FOO=base\n' + 'CMD ["sh"]\n',
  },
  'oracle/plain:1.0': { dockerfile: 'FROM scratch\nCOPY file /plain\n' },
  'oracle/rich:latest': {
    dockerfile: [
      'FROM scratch',
      'COPY file /file',
      'ENV A=1 B="two words"',
      'LABEL from=rich shared=base',
      'USER bob:staff',
      'WORKDIR /srv/app',
      'SHELL ["/bin/bash", "-o", "pipefail", "-c"]',
      'EXPOSE 80 53/udp',
      'VOLUME /data',
      'STOPSIGNAL SIGINT',
      'HEALTHCHECK --interval=5s CMD true',
      'ENTRYPOINT ["/entry"]',
      'CMD ["serve"]',
      '',
    ].join('\n'),
  },
  'oracle/onbuild:latest': {
    dockerfile: [
      'FROM scratch',
      'COPY file /file',
      'ONBUILD COPY src /src',
      'ONBUILD RUN make $TAG',
      'ONBUILD ENV BUILT=yes',
      '',
    ].join('\n'),
  },
  'oracle/onbuildfrom:latest': {
    dockerfile:
      'FROM scratch\n' +
      'COPY file /file\n' +
      'ONBUILD COPY --from=oracle/plain:1.0 /plain /plain\n',
  },
  'oracle/arm:latest': { dockerfile: 'FROM scratch\nCOPY file /file\n', platform: 'linux/arm64' },
};

const lines = (...text: readonly string[]): string => `${text.join('\n')}\n`;

export const CASES: readonly OracleCase[] = [
  {
    name: 'run-forms',
    dockerfile: lines(
      'FROM oracle/base',
      'RUN echo hi > /x',
      'RUN ["/bin/echo", "a b", "$FOO"]',
      'RUN   make   all',
      'RUN echo a \\',
      '  && echo "b c" \\',
      '  # comment',
      "  && echo 'd'",
    ),
  },
  {
    name: 'run-heredoc',
    dockerfile: lines(
      'FROM oracle/base',
      'RUN <<EOF',
      'echo one',
      'echo two',
      'EOF',
      'RUN <<-EOT',
      '\ttabbed $FOO',
      'EOT',
      "RUN cat <<'A' > /a && cat <<B > /b",
      'first $FOO',
      'A',
      'second',
      'B',
      'RUN <<script.py',
      '#!/usr/bin/env python3',
      'print("hi")',
      'script.py',
      'RUN cat <<-X | sh',
      '\techo x',
      'X',
    ),
  },
  {
    name: 'run-mounts-bind',
    dockerfile: lines(
      'FROM oracle/plain:1.0 AS tools',
      'FROM oracle/base',
      'WORKDIR /work',
      'RUN --mount=type=bind,target=/ctx ls',
      'RUN --mount=source=src,target=sub,rw ls',
      'RUN --mount=type=bind,from=tools,src=/plain,dst=/t --mount=type=bind,from=tools,' +
        'target=/u,readwrite ls',
      'RUN --mount=type=bind,from=oracle/rich,source=srv,target=/srv ls',
    ),
  },
  {
    name: 'run-mounts-cache',
    dockerfile: lines(
      'FROM oracle/base',
      'ENV D=/root/.cache',
      'RUN --mount=type=cache,target=/c ls',
      'RUN --mount=type=cache,target=$D/x/../y,id=mine,sharing=locked ls',
      'RUN --mount=type=cache,target=/p,sharing=private,mode=0700,uid=10,gid=20 ls',
      'RUN --mount=type=cache,target=/q,from=oracle/plain:1.0,source=/plain ls',
      'RUN --mount=type=cache,target=/r,uid=5,ro ls',
      'RUN --mount=type=cache,target=rel ls',
    ),
  },
  {
    name: 'run-mounts-cache-ns',
    options: { buildArgs: { BUILDKIT_CACHE_MOUNT_NS: 'proj' } },
    dockerfile: lines(
      'FROM oracle/base',
      'RUN --mount=type=cache,target=/c ' + '--mount=type=cache,target=/a ls',
    ),
  },
  {
    name: 'run-mounts-tmpfs',
    dockerfile: lines(
      'FROM oracle/base',
      'RUN --mount=type=tmpfs,target=/t ls',
      'RUN --mount=type=tmpfs,target=/t,size=64m --mount=type=tmpfs,target=/b,size=1.5g ls',
    ),
  },
  {
    name: 'run-mounts-secret',
    dockerfile: lines(
      'FROM oracle/base',
      'RUN --mount=type=secret,id=one ls',
      'RUN --mount=type=secret,id=two,target=/etc/two,mode=0440,uid=3,gid=4,required ls',
      'RUN --mount=type=secret,id=tok,env=TOKEN echo $TOKEN',
      'RUN --mount=type=secret,id=both,env=BOTH,target=/both,required=true ls',
      'RUN --mount=type=secret,target=/run/x/name ls',
      'RUN --mount=type=secret,src=alias,uid=7 ls',
    ),
  },
  {
    name: 'run-mounts-ssh',
    dockerfile: lines(
      'FROM oracle/base',
      'RUN --mount=type=ssh ls',
      'RUN --mount=type=ssh,id=gh,target=/s.sock,mode=0666,uid=1000,required --mount=type=ssh ls',
      'RUN --mount=type=ssh,uid=3 ls',
    ),
  },
  {
    name: 'run-network',
    dockerfile: lines(
      'FROM oracle/base',
      'RUN --network=none ls',
      'RUN --network=host ls',
      'RUN --network=default ls',
    ),
  },
  {
    name: 'run-options',
    options: {
      network: 'host',
      addHosts: ['db:10.0.0.1', 'six:::1'],
      ulimits: ['nofile=1024:2048', 'core=0'],
      shmSize: '128m',
      cgroupParent: '/kiln',
      buildArgs: { BUILDKIT_SANDBOX_HOSTNAME: 'forge' },
    },
    dockerfile: lines(
      'FROM oracle/base',
      'RUN ls',
      'RUN --network=none --mount=type=cache,target=/x ls',
      'RUN --network=default ls',
    ),
  },
  {
    name: 'proxy',
    options: {
      buildArgs: {
        HTTP_PROXY: 'http://p:1',
        https_proxy: 'http://p:2',
        NO_PROXY: 'localhost',
        FTP_PROXY: 'f',
        ALL_PROXY: 'all',
        OTHER: 'x',
      },
    },
    dockerfile: lines('FROM oracle/base', 'ARG OTHER', 'RUN ls', 'ARG HTTP_PROXY', 'RUN ls'),
  },
  {
    name: 'copy-plain',
    dockerfile: lines(
      'FROM oracle/base',
      'COPY a /a',
      'COPY a b dir/',
      'COPY . .',
      'COPY *.txt sub/../x?y /dest/',
      'COPY ["with space", "/to here/"]',
      'WORKDIR /w',
      'COPY a ./',
      'COPY a sub/.',
      'COPY a .',
      'COPY ./dir/ name',
      'COPY /abs /../up/',
    ),
  },
  {
    name: 'copy-follow',
    dockerfile: lines('FROM oracle/base', 'COPY b/c /x', 'COPY ./a/../z /y', 'ADD q/*.tar /z'),
  },
  {
    name: 'copy-owner',
    dockerfile: lines(
      'FROM oracle/base',
      'ENV U=bob',
      'COPY --chown=bob a /',
      'COPY --chown=1000:1000 a /',
      'COPY --chown=root:root a /',
      'COPY --chown=$U:staff a b /d/',
      'COPY --chown=0 a /',
      'COPY --chown=bob:0 a /',
      'ADD --chown=5:staff a /',
    ),
  },
  {
    name: 'copy-chmod',
    dockerfile: lines(
      'FROM oracle/base',
      'ARG M=0750',
      'COPY --chmod=755 a /',
      'COPY --chmod=$M a /',
      'COPY --chmod=u=rwX,go=rX a /',
      'COPY --chmod=a+x,g-w --chown=2:3 a /',
      'ADD --chmod=04755 a /',
      'COPY --chmod=0 a /',
    ),
  },
  {
    name: 'copy-link',
    dockerfile: lines(
      'FROM oracle/base AS one',
      'COPY --link a /a',
      'COPY --link --chown=bob:staff b c /d/',
      'COPY --link --chmod=755 a /e',
      'ADD --link t.tar /f/',
      'FROM scratch',
      'COPY --link a /a',
      'COPY --from=one --link /a /b',
    ),
  },
  {
    name: 'copy-exclude',
    dockerfile: lines(
      'FROM oracle/base',
      'ARG X=tmp',
      'COPY --exclude=*.md --exclude=$X/** . /d/',
      'ADD --exclude=*.log a b /e/',
    ),
  },
  {
    name: 'copy-heredoc',
    dockerfile: lines(
      'FROM oracle/base',
      'ENV N=name',
      'COPY <<EOF /out',
      'hello $N "quoted" \\$N',
      'EOF',
      "COPY <<'RAW' <<-TWO a /dir/",
      'keep $N',
      'RAW',
      '\ttab ${N}',
      'TWO',
      'ADD <<EOF /x',
      'EOF',
    ),
  },
  {
    name: 'copy-from',
    dockerfile: lines(
      'FROM oracle/plain:1.0 AS first',
      'RUN make',
      'FROM oracle/base AS second',
      'COPY --from=first /out /a',
      'COPY --from=0 /out /b',
      'COPY --from=oracle/rich /c /c',
      'FROM scratch',
      'COPY --from=second / /',
      'COPY --from=1 --chown=bob /a /z',
      'COPY --from=oracle/rich /c /c',
    ),
  },
  {
    name: 'copy-from-image-single',
    dockerfile: lines('FROM oracle/base', 'COPY --from=oracle/plain:1.0 ' + '/plain /p'),
  },
  {
    name: 'copy-quotes',
    dockerfile: lines(
      'FROM oracle/base',
      'ENV V="a b"',
      'COPY "quo"ted $V ${V}x /to/',
      'COPY \'single\' "${UNSET}x" /to/',
      'COPY ["a b", "$V", "/to/"]',
      'WORKDIR "/with space"',
      'RUN echo "$V" $UNSET ${V:-x}',
    ),
  },
  {
    name: 'add-local',
    dockerfile: lines(
      'FROM oracle/base',
      'ADD a.tar /x',
      'ADD a.tar b.tgz /y/',
      'ADD --unpack=false a.tar /z',
      'ADD --unpack a.tar /z2',
    ),
  },
  {
    name: 'add-http',
    dockerfile: lines(
      'FROM oracle/base',
      'ADD http://127.0.0.1:9/dir/file.txt?x=1#frag /d/',
      'ADD https://127.0.0.1:9/ /d/',
      'ADD ' +
        '--checksum=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef ' +
        'http://127.0.0.1:9/sum /d/sum',
      'ADD --unpack=true --chown=1:2 --chmod=600 http://127.0.0.1:9/a.tar.gz ' +
        'http://127.0.0.1:9/%41%20b local /d/',
      'ADD --link http://127.0.0.1:9/linked /l',
    ),
  },
  {
    name: 'add-git',
    dockerfile: lines(
      'FROM oracle/base',
      'ADD https://127.0.0.1:9/org/repo.git /a',
      'ADD https://127.0.0.1:9/org/repo.git#v1.0:sub/dir /b',
      'ADD --keep-git-dir=true https://127.0.0.1:9/org/repo.git#main /c',
      'ADD --checksum=0123456789012345678901234567890123456789 http://127.0.0.1:9/x.git /d',
      'ADD git://127.0.0.1:9/y /e',
      'ADD https://127.0.0.1:9/z.git#:only/sub /f',
      'ADD https://user@127.0.0.1:9/w.git#ref --chown=1 /g'.replace(' --chown=1', ''),
    ),
  },
  {
    name: 'add-git-query',
    dockerfile: lines(
      'FROM oracle/base',
      'ADD https://127.0.0.1:9/org/repo.git?tag=v1&subdir=s /a',
      'ADD https://127.0.0.1:9/org/repo.git?branch=dev&keep-git-dir=1&submodules=0 /b',
      'ADD https://127.0.0.1:9/org/repo.git?ref=main&' +
        'checksum=0123456789012345678901234567890123456789 /c',
      'ADD https://127.0.0.1:9/org/repo.git?commit=0123456789012345678901234567890123456789 /d',
    ),
  },
  {
    name: 'multi-stage',
    dockerfile: lines(
      'FROM oracle/base AS build',
      'RUN make',
      'FROM build AS test',
      'RUN make test',
      'FROM oracle/plain:1.0 AS unused',
      'RUN false',
      'FROM scratch AS final',
      'COPY --from=build /bin/app /app',
      'ENTRYPOINT ["/app"]',
    ),
  },
  {
    name: 'target',
    options: { target: 'Build' },
    dockerfile: lines(
      'FROM oracle/base AS build',
      'RUN make',
      'ARG TARGETSTAGE',
      'FROM build',
      'RUN other',
    ),
  },
  {
    name: 'stage-inherits',
    dockerfile: lines(
      'FROM oracle/rich AS a',
      'ARG ONE=1',
      'ENV TWO=2',
      'WORKDIR sub',
      'FROM a AS b',
      'RUN echo $ONE',
      'ENV TWO=3 FOUR=4',
      'ARG ONE=5',
      'RUN echo',
      'FROM b',
      'ARG THREE',
      'RUN last',
    ),
  },
  {
    name: 'onbuild',
    options: { buildArgs: { TAG: 't1' } },
    dockerfile: lines('FROM oracle/onbuild', 'ARG TAG', 'RUN own'),
  },
  {
    name: 'onbuild-stage',
    dockerfile: lines(
      'FROM oracle/base AS parent',
      'ONBUILD ARG X=1',
      'ONBUILD COPY c /c',
      'ONBUILD WORKDIR /ob',
      'FROM parent AS child',
      'RUN child',
      'FROM child',
      'RUN grandchild',
    ),
  },
  { name: 'onbuild-from', dockerfile: lines('FROM oracle/onbuildfrom', 'RUN own') },
  {
    name: 'onbuild-kept',
    dockerfile: lines(
      'FROM oracle/base',
      'ONBUILD RUN echo $FOO',
      'ONBUILD COPY --chown=bob a /b',
      'ONBUILD ENV A="b c"',
    ),
  },
  {
    name: 'workdir',
    dockerfile: lines(
      'FROM oracle/base',
      'WORKDIR /a',
      'WORKDIR b/../c',
      'ENV D=/env',
      'WORKDIR $D/x',
      'WORKDIR /',
      'WORKDIR rel',
      'USER bob:staff',
      'WORKDIR owned',
      'USER 1000',
      'WORKDIR /num/',
      'RUN pwd',
      'COPY a .',
      'COPY a x/',
      'WORKDIR /p/../q//r',
      'RUN pwd',
      'WORKDIR rel/',
      'WORKDIR ./x/.',
      'WORKDIR ..',
      'RUN pwd',
    ),
  },
  {
    name: 'user-shell',
    dockerfile: lines(
      'FROM oracle/rich',
      'RUN whoami',
      'SHELL ["/bin/sh", "-ec"]',
      'RUN set',
      'USER root',
      'RUN id',
      'ARG WHO=alice',
      'USER $WHO',
      'CMD serve --all',
      'ENTRYPOINT start "$A"',
      'WORKDIR made',
    ),
  },
  {
    name: 'config',
    dockerfile: lines(
      'FROM oracle/base',
      'MAINTAINER Jo Doe <jo@example.com>',
      'LABEL a=1 b="two words" c=\'x\\ty\'',
      'LABEL legacy some value',
      'EXPOSE 80 443/tcp 53/udp 8000-8002',
      'VOLUME /v1 /v2',
      'VOLUME ["/v3", "/a b"]',
      'STOPSIGNAL SIGTERM',
      'HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --start-interval=1.5s ' +
        '--retries=3 CMD curl -f "http://localhost/" || exit 1',
      'CMD ["sh", "-c", "echo \\"q\\" é"]',
      'ENTRYPOINT ["/e"]',
    ),
  },
  {
    name: 'config-reset',
    dockerfile: lines(
      'FROM oracle/rich',
      'HEALTHCHECK NONE',
      'ENTRYPOINT []',
      'LABEL shared=own',
      'EXPOSE 90',
      'VOLUME /more',
      'ENV A=changed C=new',
    ),
  },
  {
    name: 'config-cmd-order',
    dockerfile: lines(
      'FROM oracle/rich',
      'CMD ["own"]',
      'ENTRYPOINT ["e"]',
      'HEALTHCHECK CMD ' + '["/check", "x"]',
    ),
  },
  {
    name: 'env-arg',
    options: { buildArgs: { GIVEN: 'cli', GLOBAL2: 'cli2', UNDECLARED: 'zz' } },
    dockerfile: lines(
      'ARG GLOBAL=g',
      'ARG GLOBAL2=g2',
      'ARG REF=${GLOBAL}-${GIVEN:-none}',
      'FROM oracle/base',
      'ARG GLOBAL',
      'ARG GLOBAL2=local',
      'ARG REF',
      'ARG GIVEN=default',
      'ARG NONE',
      'ARG LOCAL=${GLOBAL}x MORE="q $GIVEN"',
      'ENV E1=$LOCAL E2="$E1-${MORE}" E3=a\\ b',
      'ENV old style $LOCAL value',
      'ENV FOO=over GIVEN=env',
      'RUN echo $E1',
      'ARG GIVEN',
      'ARG FOO=arg',
      'RUN echo again',
      'LABEL l=${E2:+yes} m=${NONE:-no} n=${E1#g} o=${E3/a/z}',
    ),
  },
  {
    name: 'env-order',
    dockerfile: lines(
      'FROM oracle/base',
      'ENV Z=1',
      'ENV A=2',
      'ENV Z=3',
      'ENV PATH=/x:$PATH',
      'ARG Q=1',
      'RUN a',
      'ENV Q=2',
      'RUN b',
    ),
  },
  {
    name: 'arg-from',
    options: { buildArgs: { VER: '1.0' } },
    dockerfile: lines(
      'ARG VER=2',
      'ARG BASE=oracle/plain',
      'FROM ${BASE}:${VER} AS x',
      'ARG VER',
      'RUN echo $VER',
      'FROM ${UNSET:-x}',
      'RUN done',
    ),
  },
  {
    name: 'platform-args',
    dockerfile: lines(
      'FROM --platform=$BUILDPLATFORM oracle/base AS b',
      'ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT',
      'ARG BUILDPLATFORM BUILDOS BUILDARCH BUILDVARIANT TARGETSTAGE',
      'RUN echo $TARGETPLATFORM',
      'FROM scratch',
      'COPY --from=b /x /x',
    ),
  },
  {
    name: 'platform-one',
    options: { platforms: ['linux/arm64'] },
    dockerfile: lines(
      'FROM --platform=$BUILDPLATFORM oracle/base AS cross',
      'ARG TARGETARCH',
      'WORKDIR /w',
      'RUN build $TARGETARCH',
      'COPY a /a',
      'FROM oracle/arm',
      'COPY --from=cross /out /out',
      'RUN native',
      'WORKDIR /x',
    ),
  },
  {
    name: 'platform-several',
    options: { platforms: ['linux/amd64', 'linux/arm64', 'linux/arm/v7'] },
    dockerfile: lines(
      'FROM --platform=$BUILDPLATFORM oracle/base AS cross',
      'ARG TARGETPLATFORM',
      'RUN build',
      'COPY a /a',
      'COPY --link b /b',
      'FROM scratch',
      'COPY --from=cross /out /out',
      'COPY <<EOF /f',
      'text',
      'EOF',
      'WORKDIR /x',
    ),
  },
  { name: 'scratch', dockerfile: lines('FROM scratch', 'COPY a /', 'RUN ["/a"]', 'ENV X=1') },
  { name: 'scratch-bare', dockerfile: lines('FROM scratch') },
  { name: 'base-bare', dockerfile: lines('FROM oracle/rich') },
  {
    name: 'labels',
    options: { labels: { 'org.opencontainers.image.title': 't', shared: 'cli' } },
    dockerfile: lines('FROM oracle/rich', 'LABEL shared=df own=1'),
  },
  {
    name: 'no-cache',
    options: { noCache: 'all' },
    dockerfile: lines(
      'FROM oracle/base',
      'RUN a',
      'COPY a /a',
      'COPY --link b /b',
      'WORKDIR /w',
      'ADD http://127.0.0.1:9/f /f',
    ),
  },
  {
    name: 'no-cache-filter',
    options: { noCache: ['One'] },
    dockerfile: lines(
      'FROM oracle/base AS one',
      'RUN a',
      'FROM oracle/base AS two',
      'RUN b',
      'COPY --from=one /x /x',
    ),
  },
  {
    name: 'ignore',
    options: { ignore: ['*.log', '!keep.log', 'node_modules', 'a<b&c'] },
    dockerfile: lines('FROM oracle/base', 'COPY . /', 'COPY a /b'),
  },
  {
    name: 'context-image',
    options: {
      contexts: {
        'oracle/base': 'docker-image://oracle/plain:1.0',
        tools: 'docker-image://oracle/rich',
      },
    },
    dockerfile: lines(
      'FROM oracle/base AS b',
      'RUN a',
      'COPY --from=tools /t /t',
      'RUN --mount=from=tools,target=/u b',
      'FROM tools',
      'RUN c',
      'COPY --from=b /b /b',
    ),
  },
  {
    name: 'context-stage',
    options: { contexts: { deps: 'docker-image://oracle/rich' } },
    dockerfile: lines(
      'FROM oracle/base AS deps',
      'RUN never',
      'FROM deps AS app',
      'RUN make',
      'COPY --from=deps /x /x',
    ),
  },
  {
    name: 'context-local',
    options: { contexts: { other: 'local', lib: 'local' } },
    dockerfile: lines(
      'FROM oracle/base',
      'COPY --from=other x y/ /o/',
      'RUN --mount=from=other,src=z,target=/m ls',
      'COPY --from=lib . /l/',
      'FROM other AS o2',
      'FROM scratch',
      'COPY --from=0 /o /o',
      'COPY --from=o2 /q /q',
    ),
  },
  {
    name: 'context-remote',
    options: {
      contexts: {
        repo: 'https://127.0.0.1:9/org/repo.git#v1:sub',
        scp: 'git@127.0.0.1:org/s.git#dev',
        'oracle/plain:1.0': 'git://127.0.0.1:9/base',
        query: 'https://127.0.0.1:9/org/q.git?branch=main&submodules=false&keep-git-dir=1',
      },
    },
    dockerfile: lines(
      'FROM oracle/base',
      'COPY --from=repo x /x',
      'COPY --from=query . /q/',
      'COPY --from=scp a /s/',
      'FROM oracle/plain:1.0',
      'COPY --from=0 /x /x',
    ),
  },
  {
    name: 'add-remote-forms',
    dockerfile: lines(
      'FROM oracle/base',
      'ADD --link https://127.0.0.1:9/org/repo.git?tag=v1 /a',
      'ADD --chown=1:2 --chmod=755 --exclude=*.md https://127.0.0.1:9/org/repo.git#main /b/',
      'ADD git@127.0.0.1:org/repo.git#x:y /c',
      'ADD ssh://git@127.0.0.1:2222/org/repo.git /d',
      'ADD --keep-git-dir=false ' +
        'https://127.0.0.1:9/r.git?keep-git-dir=false&submodules=true&ref=a/b /e',
      'ADD --unpack=false http://127.0.0.1:9/a.tar /f/',
      'ADD --unpack ' +
        '--checksum=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef ' +
        'https://127.0.0.1:9/b.tar /g/',
      'ADD http://127.0.0.1:9/x/ http://127.0.0.1:9/y?z=/w /h/',
      'ADD https://127.0.0.1:9/notgit /i',
    ),
  },
  {
    name: 'epoch',
    options: { buildArgs: { SOURCE_DATE_EPOCH: '1700000000' } },
    dockerfile: lines(
      'FROM oracle/base',
      'ARG SOURCE_DATE_EPOCH',
      'RUN a',
      'COPY a /a',
      'COPY <<X /x',
      'body',
      'X',
      'WORKDIR /w',
      'ENV A=1',
      'ADD --link b /b',
    ),
  },
  {
    name: 'equal-ops',
    dockerfile: lines(
      'FROM oracle/base AS a',
      'COPY x /x',
      'RUN same',
      'FROM oracle/base AS b',
      'COPY x /x',
      'RUN same',
      'RUN more',
      'FROM scratch',
      'COPY --from=b /1 /1',
      'COPY --from=a /2 /2',
    ),
  },
  {
    name: 'escape',
    dockerfile: lines(
      '# escape=`',
      'FROM oracle/base',
      'RUN echo a `',
      '  b',
      'COPY a`',
      ' /to/',
      'ENV X=a` b Y="c`"d"',
      'RUN dir C:\\\\x',
    ),
  },
  {
    name: 'casing',
    dockerfile: lines(
      'from oracle/base as Build',
      'run echo a',
      'Copy a /a',
      'workdir /W',
      'env A=1',
      'FROM Build'.toLowerCase(),
      'cmd x',
    ),
  },
  {
    name: 'many-steps',
    dockerfile: lines('FROM oracle/base', ...Array.from({ length: 12 }, (_, i) => `RUN step ${i}`)),
  },
  {
    name: 'context-platform',
    options: {
      platforms: ['linux/arm64'],
      contexts: {
        'docker.io/oracle/rich:latest': 'docker-image://oracle/arm',
      },
    },
    dockerfile: lines(
      'FROM --platform=linux/amd64 oracle/base AS b',
      'RUN a',
      'FROM oracle/base AS c',
      'RUN c',
      'FROM oracle/rich',
      'COPY --from=b /b /b',
      'COPY --from=c /c /c',
    ),
  },
  { name: 'pull', options: { pull: true }, dockerfile: lines('FROM scratch', 'COPY a /a') },
  {
    name: 'global-arg-names',
    options: { buildArgs: { TARGETARCH: 'forced', BUILDOS: 'plan9' } },
    dockerfile: lines(
      'ARG TARGETARCH',
      'ARG NAME=oracle/base',
      'FROM $NAME AS stage-$TARGETARCH'.replace(' AS stage-$TARGETARCH', ''),
      'ARG TARGETARCH',
      'ARG BUILDOS',
      'ARG NAME',
      'RUN echo $TARGETARCH $BUILDOS',
      'LABEL n=$NAME',
    ),
  },
  {
    name: 'sources-of-stages',
    dockerfile: lines(
      'FROM oracle/base AS a',
      'RUN one',
      'FROM oracle/plain:1.0 AS b',
      'COPY --from=a /a /a',
      'RUN --mount=from=a,target=/a two',
      'FROM oracle/rich AS c',
      'COPY x /x',
      'COPY --from=b /b /b',
      'FROM b',
      'COPY --from=c /c /c',
      'COPY --from=a /d /d',
      'COPY y z /y/',
    ),
  },
  {
    name: 'wide',
    dockerfile: lines(
      ...Array.from({ length: 6 }, (_, i) => `FROM oracle/base AS s${i}\nRUN make ${i}`),
      'FROM scratch',
      ...Array.from({ length: 6 }, (_, i) => `COPY --from=s${i} /o${i} /o${i}`),
    ),
  },
  { name: 'digest-ref', dockerfile: lines('FROM oracle/plain:1.0', 'RUN a') },
];
