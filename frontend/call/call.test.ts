import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import type { FrontendRequest } from '../frontend.ts';
import { requestOf } from '../testing/request.ts';
import { checkBuild, outlineBuild, targetsOf } from './call.ts';
import { checkDocument, outlineDocument, targetsDocument } from './call-documents.ts';
import { CASES, type CallCase } from './testdata/cases.ts';
import { checkText, outlineText, targetsText } from './texts.ts';

interface Answer {
  readonly text: string;
  readonly document: Record<string, unknown> | null;
  readonly status: number;
  readonly error?: string;
}

/** What `docker buildx build --call=…` of Docker 28.5 answers. */
const ANSWERS: Record<string, Partial<Record<string, Answer>>> = JSON.parse(
  readFileSync(join(import.meta.dirname, 'testdata/answers.json'), 'utf8'),
);

function requestFor({ dockerfile, ignore, target, buildArgs = {} }: CallCase): FrontendRequest {
  return requestOf(dockerfile, { ignore, target, buildArgs: new Map(Object.entries(buildArgs)) });
}

async function ask(test: CallCase, call: CallCase['calls'][number]): Promise<Answer> {
  const request = requestFor(test);
  const { dockerfile: source } = request;
  const plain = (document: unknown) => JSON.parse(JSON.stringify(document));
  try {
    if (call === 'targets') {
      const targets = targetsOf(source);
      return {
        text: targetsText(targets),
        document: plain(targetsDocument(targets, source)),
        status: 0,
      };
    }
    if (call === 'outline') {
      const outline = await outlineBuild(request, () => {});
      return {
        text: outlineText(outline),
        document: plain(outlineDocument(outline, source)),
        status: 0,
      };
    }
    const report = await checkBuild(request);
    const { error } = report;
    return {
      text: checkText(report, (name) => name),
      document: plain(checkDocument(report)),
      status: error || report.warnings.length > 0 ? 1 : 0,
      ...(error && { error: error.message }),
    };
  } catch (error) {
    assert.instance(error, KilnError);
    return { text: '', document: null, status: 1, error: (error as KilnError).message };
  }
}

/** Docker iterates over maps, so entries of one line come in any order. */
function ordered(document: Answer['document']): unknown {
  if (!document) return document;
  const byPlace = (
    list: { name: string; location: { ranges: { start: { line: number } }[] } }[] | undefined,
  ) =>
    list?.toSorted(
      (a, b) =>
        a.location.ranges[0]!.start.line - b.location.ranges[0]!.start.line ||
        (a.name < b.name ? -1 : 1),
    );
  const { args, secrets, ssh, buildError, ...rest } = document as Record<string, never>;
  return { ...rest, args: byPlace(args), secrets: byPlace(secrets), ssh: byPlace(ssh) };
}

const trimmed = (text: string) => text.replaceAll(/[^\S\n]+$/gm, '');
/** Errors have other words in Docker. Their existence and lines are the same. */
const placeOf = (document: Answer['document']) =>
  (document?.['buildError'] as { location?: unknown } | undefined)?.location;

for (const one of CASES) {
  for (const call of one.calls) {
    const wanted = ANSWERS[one.name]?.[call];
    test(`--call=${call} of ${one.name} answers what Docker answers`, async () => {
      assert.ok(wanted);
      const found = await ask(one, call);
      assert.is(trimmed(found.text), wanted!.text);
      assert.equal(ordered(found.document), ordered(wanted!.document));
      assert.equal(placeOf(found.document), placeOf(wanted!.document));
      assert.is(found.status, wanted!.status);
      assert.is(
        found.error === undefined,
        wanted!.error === undefined,
        `${found.error} / ${wanted!.error}`,
      );
    });
  }
}

test('the outline also lists caches, which Docker leaves out', async () => {
  const dockerfile =
    'FROM scratch\n' +
    'RUN --mount=type=cache,target=/root/.cache x\n' +
    'RUN --mount=type=cache,id=own,target=/x x\n';
  const one: CallCase = { name: '', dockerfile, calls: [] };
  const outline = await outlineBuild(requestFor(one), () => {});
  assert.is(outlineText(outline), 'CACHE\n/root/.cache\nown\n\n');
  const { cache } = outlineDocument(outline, { name: 'Dockerfile', text: dockerfile }) as {
    cache: { ID: string }[];
  };
  assert.equal(
    cache.map(({ ID }) => ID),
    ['/root/.cache', 'own'],
  );
});

test('a finding in .dockerignore has that file as its source', async () => {
  const report = await checkBuild(
    requestFor({ name: '', dockerfile: 'FROM scratch\n', ignore: 'a\nb # c\n', calls: [] }),
  );
  const document = checkDocument(report) as {
    warnings: { location: object }[];
    sources: { filename: string }[];
  };
  assert.equal(document.warnings[0]?.location, {
    sourceIndex: 1,
    ranges: [{ start: { line: 2 }, end: { line: 2 } }],
  });
  assert.is(document.sources[1]?.filename, '.dockerignore');
  assert.match(
    checkText(report, (name) => name),
    /WARNING: SuspiciousIgnorePattern .*\n.*\n\.dockerignore:2\n/,
  );
});

test('a document names the first and the last line of a very long instruction', async () => {
  const lines = (count: number) => Array.from({ length: count }, (_, at) => `$A${at}\n`).join('');
  const dockerfile = `FROM scratch\nCOPY <<E /a\n${lines(400)}E\nCOPY <<E /b\n${lines(3000)}E\n`;
  const report = await checkBuild(requestFor({ name: '', dockerfile, calls: [] }));
  assert.is(report.warnings.length, 1001);
  const { warnings } = checkDocument(report) as {
    warnings: { location: { ranges: { start: object; end: object }[] } }[];
  };
  assert.is(warnings[0]?.location.ranges.length, 402);
  assert.equal(warnings.at(-1)?.location.ranges, [{ start: { line: 404 }, end: { line: 3405 } }]);
});

test('an outline of ARGs that are each made of the one before has them all', async () => {
  const count = 20_000;
  const chain = Array.from({ length: count }, (_, at) => `ARG A${at + 1}=$A${at}\n`).join('');
  const dockerfile = `ARG A0=x\n${chain}FROM scratch\nARG A${count}\n`;
  const { args } = await outlineBuild(requestFor({ name: '', dockerfile, calls: [] }), () => {});
  assert.is(args.length, count + 1);
  assert.is(args.at(-1)?.value, 'x');
});

test('one ARG of many names has a description for each of them', async () => {
  const count = 2000;
  const comments = Array.from({ length: count }, (_, at) => `# A${at} number ${at}\n`).join('');
  const names = Array.from({ length: count }, (_, at) => `A${at}`).join(' ');
  const dockerfile = `FROM scratch\n${comments}ARG ${names}\n`;
  const { args } = await outlineBuild(requestFor({ name: '', dockerfile, calls: [] }), () => {});
  assert.is(args.length, count);
  assert.ok(args.every(({ name, description }) => description === `number ${name.slice(1)}`));
});

test('the CMD that an ENTRYPOINT drops is that of the nearest stage', async () => {
  const dockerfile =
    'FROM scratch AS a\nCMD ["1"]\nFROM a AS b\nCMD ["2"]\nFROM b AS c\nFROM c\nENTRYPOINT ["x"]\n';
  const { warnings } = await checkBuild(requestFor({ name: '', dockerfile, calls: [] }));
  assert.equal(
    warnings.map(({ message }) => message),
    ['ENTRYPOINT drops the CMD of line 4, which the stage inherits: write it again below'],
  );
});

test('after the first image that cannot be resolved only a few others are tried', async () => {
  const images = Array.from({ length: 2000 }, (_, at) => `COPY --from=none${at} a b\n`).join('');
  let asked = 0;
  const resolveImage = async () => {
    asked++;
    throw new KilnError('KILN_REGISTRY_UNREACHABLE', 'nobody is there');
  };
  const request = {
    ...requestFor({ name: '', dockerfile: `FROM scratch\n${images}`, calls: [] }),
    resolveImage,
  };
  const { error } = await checkBuild(request);
  assert.is(error?.code, 'KILN_REGISTRY_UNREACHABLE');
  assert.ok(asked < 100, `${asked} images were asked about`);
});

test.run();
