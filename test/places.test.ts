import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig } from './rig.ts';

/** Failures that appear only when the build runs. Docker 28.5 also fails, and at the same line. */
interface Failure {
  readonly dockerfile: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly code: string;
  /** The `file:line` above the excerpt, and the lines that are marked in the excerpt. */
  readonly place: string;
  readonly marked: readonly number[];
  readonly says: readonly (string | RegExp)[];
}

const SOURCE_MISSING = 'KILN_COPY_SOURCE_MISSING';
const FAILURES: Readonly<Record<string, Failure>> = {
  'a RUN that comes from an ONBUILD, at the FROM that brought it': {
    dockerfile: 'FROM busybox AS base\nONBUILD RUN echo no; exit 3\nFROM base\n',
    code: 'KILN_STEP_FAILED',
    place: 'Dockerfile:3',
    marked: [3],
    says: ['exit code: 3', '[stage-1 1/1] ONBUILD RUN echo no; exit 3'],
  },
  'a RUN of a heredoc, with all its lines': {
    dockerfile: 'FROM busybox\nRUN <<EOF\necho one\nexit 4\nEOF\nRUN true\n',
    code: 'KILN_STEP_FAILED',
    place: 'Dockerfile:2',
    marked: [2, 3, 4, 5],
    says: ['exit code: 4'],
  },
  'a COPY of a misspelled file in a directory': {
    dockerfile: 'FROM busybox\nCOPY src/mian.js /\n',
    files: { 'src/main.js': '' },
    code: SOURCE_MISSING,
    place: 'Dockerfile:2',
    marked: [2],
    says: ['"/src/mian.js": not found', 'did you mean "src/main.js"?'],
  },
  'a COPY from a misspelled directory': {
    dockerfile: 'FROM busybox\nCOPY scr/main.js /\n',
    files: { 'src/main.js': '' },
    code: SOURCE_MISSING,
    place: 'Dockerfile:2',
    marked: [2],
    says: ['did you mean "src/main.js"?'],
  },
  'a COPY of a misspelled file of a stage': {
    dockerfile:
      'FROM busybox AS a\n' +
      'RUN mkdir /out && echo > /out/app\n' +
      'FROM busybox\n' +
      'COPY --from=a /out/ap /\n',
    code: SOURCE_MISSING,
    place: 'Dockerfile:4',
    marked: [4],
    says: ['did you mean "out/app"?'],
  },
  'a COPY of what looks like nothing that is there': {
    dockerfile: 'FROM busybox\nCOPY \\\n  package.json /\n',
    code: SOURCE_MISSING,
    place: 'Dockerfile:2',
    marked: [2, 3],
    says: ['hint: there is "Dockerfile"'],
  },
  'a COPY below a directory that .dockerignore excludes': {
    dockerfile: 'FROM busybox\nCOPY dist/app.js /\n',
    files: { 'dist/app.js': '', '.dockerignore': '# built\n\ndist\n' },
    code: SOURCE_MISSING,
    place: 'Dockerfile:2',
    marked: [2],
    says: ['"dist" exists but is excluded by line 3 of .dockerignore: dist'],
  },
  'a COPY that a line of .dockerignore excludes and another brings back only in part': {
    dockerfile: 'FROM busybox\nCOPY a.txt /\n',
    files: { 'a.txt': '', 'b.txt': '', '.dockerignore': '*\n!b.txt\n' },
    code: SOURCE_MISSING,
    place: 'Dockerfile:2',
    marked: [2],
    says: ['excluded by line 1 of .dockerignore: *'],
  },
  'a COPY that comes from an ONBUILD': {
    dockerfile: 'FROM busybox AS base\nONBUILD COPY package.json /\nFROM base\n',
    code: SOURCE_MISSING,
    place: 'Dockerfile:3',
    marked: [3],
    says: ['"/package.json": not found'],
  },
  'an ADD of an archive that is not there': {
    dockerfile: 'FROM busybox\nADD a.tar.gz /\n',
    code: SOURCE_MISSING,
    place: 'Dockerfile:2',
    marked: [2],
    says: ['"/a.tar.gz": not found'],
  },
  'a bind mount of what is not there': {
    dockerfile: 'FROM busybox\nRUN --mount=type=bind,source=nosuch,target=/x ls\n',
    code: SOURCE_MISSING,
    place: 'Dockerfile:2',
    marked: [2],
    says: ['"/nosuch": not found'],
  },
  'a COPY with half a pattern': {
    dockerfile: 'FROM busybox\nCOPY [a /x/\n',
    code: 'KILN_COPY_BAD_PATTERN',
    place: 'Dockerfile:2',
    marked: [2],
    says: ['syntax error in pattern', 'close every [ with a ]'],
  },
  'a line of .dockerignore that is no pattern': {
    dockerfile: 'FROM busybox\nCOPY . /\n',
    files: { '.dockerignore': 'a\n[b\n' },
    code: 'KILN_DOCKERIGNORE_PATTERN',
    place: '.dockerignore:2',
    marked: [2],
    says: ['syntax error in pattern "[b"'],
  },
  'a WORKDIR below a file': {
    dockerfile: 'FROM busybox\nRUN echo > /f\nWORKDIR /f/x\n',
    code: 'KILN_NOT_A_DIRECTORY',
    place: 'Dockerfile:3',
    marked: [3],
    says: ['is not a directory'],
  },
  'a COPY of a directory onto a file': {
    dockerfile: 'FROM busybox\nRUN echo > /f\nCOPY src /f\n',
    files: { 'src/a': '' },
    code: 'KILN_NOT_A_DIRECTORY',
    place: 'Dockerfile:3',
    marked: [3],
    says: ['"/f" in the image is not a directory'],
  },
  'a required secret that was not given': {
    dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=x,required cat /run/secrets/x\n',
    code: 'KILN_SECRET_NOT_FOUND',
    place: 'Dockerfile:2',
    marked: [2],
    says: ['secret x: not found', '--secret id=x,src=FILE'],
  },
  'a program that is not in the image': {
    dockerfile: 'FROM busybox\nRUN ["nosuch"]\n',
    code: 'KILN_PROCESS_START',
    place: 'Dockerfile:2',
    marked: [2],
    says: ['nosuch'],
  },
  'a shell that is not in the image': {
    dockerfile: 'FROM scratch\nCOPY Dockerfile /\nRUN echo\n',
    code: 'KILN_PROCESS_START',
    place: 'Dockerfile:3',
    marked: [3],
    says: ['/bin/sh'],
  },
};

const rig = await Rig.create('busybox');
test.after(() => rig[Symbol.asyncDispose]());

for (const [index, [name, failure]] of Object.entries(FAILURES).entries()) {
  test(`a failure shows its place and the next step: ${name}`, async () => {
    const context = rig.write(`c${index}`, { ...failure.files, Dockerfile: failure.dockerfile });
    const { stderr } = await rig.kiln(['build', '--progress=plain', context], { expect: 1 });
    const [, place, excerpt] = /\n(\S+:\d+)\n-{20}\n([\s\S]*?\n)-{20}\nERROR: /.exec(stderr) ?? [];
    assert.is(place, failure.place, stderr);
    const marked = [...(excerpt ?? '').matchAll(/^ *(\d+) \| >>>/gm)].map(([, line]) =>
      Number(line),
    );
    assert.equal(marked, failure.marked);
    assert.match(stderr, `[${failure.code}]\n`);
    for (const text of failure.says) assert.match(stderr, text);
  });
}

test.run();
