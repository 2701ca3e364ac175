import { type GoldenCase, lines } from '../case.ts';
import { tree } from './basic.ts';

/** The sources of Dockerfiles and contexts, .dockerignore, and named contexts. */
export const CONTEXTS: readonly GoldenCase[] = [
  {
    name: 'ignore-order',
    dockerfile: 'FROM busybox\nCOPY . /c/\n',
    files: {
      ...tree,
      '.dockerignore': lines(
        '# comment',
        '',
        '*',
        '!src',
        'src/sub',
        '!src/sub/b.sh',
        '!x*.txt',
        'x2.txt',
        '/package.json',
      ),
    },
  },
  {
    name: 'ignore-stars',
    dockerfile: 'FROM busybox\nCOPY . /c/\n',
    files: {
      ...tree,
      'a/node_modules/x/y': '',
      'node_modules/z': '',
      'a/b/c/d.log': '',
      'a/.env': '',
      '.env.local': '',
      'docs/keep.md': '',
      'docs/in/drop.md': '',
      '.dockerignore': lines(
        '**/node_modules',
        '**/*.log',
        '**/.env*',
        'docs/**/*.md',
        '!docs/keep.md',
        'src/*/deep',
        'Dockerfile*',
        '.dockerignore',
      ),
    },
  },
  {
    name: 'ignore-forms',
    dockerfile: 'FROM busybox\nCOPY . /c/\n',
    files: {
      ...tree,
      'dir/a': '1',
      'dir2/a': '1',
      'sp ace': '',
      '#hash': '',
      '!bang': '',
      'tr ': '',
      '.dockerignore':
        '\ufeffdir/ \n' +
        '  ./dir2/\t\n' +
        '\\#hash\n' +
        '\\!bang\n' +
        'x[1-1].txt\n' +
        'src/../package.json\n' +
        '! package.json \n' +
        'src//sub\r\n',
    },
  },
  {
    name: 'ignore-of-dockerfile',
    dockerfile: 'FROM busybox\nCOPY . /c/\n',
    file: 'docker.build',
    files: {
      ...tree,
      '.dockerignore': 'x1.txt\n',
      'docker.build.dockerignore': 'x2.txt\n*.dockerignore\n',
    },
    args: ['-f', '{context}/docker.build'],
  },
  {
    name: 'ignore-parent-of-kept',
    dockerfile: 'FROM busybox\nCOPY src /one\nCOPY src/sub/deep/c /two\n',
    files: { ...tree, '.dockerignore': 'src\n!src/sub/deep/c\n' },
  },
  {
    name: 'ignore-copy-excluded',
    dockerfile: 'FROM busybox\nCOPY x1.txt /\n',
    files: { ...tree, '.dockerignore': 'x*\n' },
    refused: true,
  },
  {
    name: 'ignore-bad',
    dockerfile: 'FROM busybox\nCOPY . /\n',
    files: { ...tree, '.dockerignore': '[a-\n' },
    refused: true,
  },
  {
    name: 'ignore-run-mount',
    dockerfile:
      'FROM busybox\nRUN --mount=target=/ctx cd /ctx && find . | sort > /seen\nADD . /added\n',
    files: { ...tree, '.dockerignore': 'src/sub\nDockerfile\n' },
  },
  {
    name: 'dockerfile-outside',
    dockerfile: 'FROM busybox\nCOPY . /c\n',
    file: '{elsewhere}/My.Dockerfile',
    files: { 'f.txt': 'f', Dockerfile: 'FROM nowhere.invalid/x\n' },
    outside: { elsewhere: { 'not-in-context': '' } },
    args: ['-f', '{elsewhere}/My.Dockerfile'],
  },
  {
    name: 'dockerfile-lower-case',
    dockerfile: 'FROM busybox\nCOPY . /c\n',
    file: 'dockerfile',
    files: { f: 'f' },
  },
  {
    name: 'dockerfile-stdin',
    dockerfile: 'FROM busybox\nRUN echo x > /x\nWORKDIR /empty/context\n',
    stdin: 'dockerfile',
  },
  {
    name: 'dockerfile-stdin-of-context',
    dockerfile: 'FROM busybox\nCOPY . /c\n',
    files: { ...tree, '.dockerignore': 'src\n' },
    stdin: 'dockerfile-of-context',
  },
  {
    name: 'context-tar',
    dockerfile: 'FROM busybox\nCOPY src /src\n',
    files: tree,
    modes: { 'src/sub/b.sh': 0o751 },
    stdin: 'tar',
  },
  {
    name: 'context-tar-gz',
    dockerfile: 'FROM busybox\nCOPY . /all\n',
    file: 'other',
    files: { ...tree, '.dockerignore': 'package*\n' },
    stdin: 'tar.gz',
    args: ['-f', 'other'],
  },
  {
    name: 'context-without-dockerfile',
    dockerfile: '',
    file: 'nothing',
    files: tree,
    refused: true,
  },
  {
    name: 'named-context-directory',
    dockerfile: lines(
      'FROM busybox',
      'COPY --from=extra . /extra',
      'COPY --from=extra sub/f /f',
      'RUN --mount=from=extra,target=/m,source=sub cat /m/f > /read',
    ),
    outside: { extra: { a: 'a', 'sub/f': 'f', '.dockerignore': 'b\n', b: 'b' } },
    args: ['--build-context', 'extra={extra}'],
  },
  {
    name: 'named-context-replaces-stage',
    dockerfile: 'FROM nowhere.invalid/x AS deps\nRUN false\nFROM busybox\nCOPY --from=deps f /f\n',
    outside: { deps: { f: 'given' } },
    args: ['--build-context', 'deps={deps}'],
  },
  {
    name: 'named-context-replaces-image',
    dockerfile:
      'FROM alpine:3.99 AS x\n' +
      'RUN echo 1 > /1\n' +
      'FROM example.org/team/app:v1\n' +
      'COPY --from=x /1 /1\n' +
      'COPY --from=other /etc/passwd /pw\n',
    args: [
      'alpine:3.99=docker-image://busybox',
      'example.org/team/app:v1=docker-image://busybox:latest',
      'other=docker-image://busybox',
    ].flatMap((one) => ['--build-context', one]),
  },
  {
    name: 'named-context-as-base',
    dockerfile: 'FROM base\nCOPY x1.txt /x\n',
    files: tree,
    outside: { base: { 'etc/os': 'mine', run: '' } },
    args: ['--build-context', 'base={base}'],
    differs: {
      why: 'the directory and what is copied upon it are one layer',
      expect: ({ layers, ...rest }) => ({ ...rest, layers: layers - 1 }),
    },
  },
  {
    name: 'labels-given',
    dockerfile: 'FROM busybox\nLABEL a=file b=file\nRUN true\n',
    args: ['--label', 'b=flag', '--label', 'c=x=y', '--label', 'd='],
  },
  {
    name: 'epoch',
    dockerfile: lines(
      'FROM busybox',
      'ARG SOURCE_DATE_EPOCH',
      'RUN echo $SOURCE_DATE_EPOCH > /epoch && mkdir /d && touch -d @1500000000 ' +
        '/d/old && ln -s x /l',
      'COPY src /src',
      'WORKDIR /w',
      'CMD ["x"]',
    ),
    files: tree,
    args: ['--build-arg', 'SOURCE_DATE_EPOCH=1600000000'],
    output: 'rewrite-timestamp=true',
    times: true,
  },
];
