import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { checkBuild, outlineBuild } from './call/call.ts';
import { checkText } from './call/texts.ts';
import { convertDockerfile } from './convert/convert.ts';
import type { FrontendRequest } from './frontend.ts';
import { parseDockerfile } from './parse.ts';
import { requestOf } from './testing/request.ts';

/**
 * A Dockerfile with twice as many lines takes twice the time. Each file repeats one line (`%` is
 * its number, `%-` the one before). CPU times are compared, and only a ratio far from 2 that is
 * measured each time counts.
 */
const LINES: readonly string[] = [
  'LABEL A%=v',
  'ENV A%=v',
  'ARG A%=v',
  'WORKDIR /w%',
  'EXPOSE %',
  'VOLUME /v%',
  'USER u%',
  'RUN x%',
  'COPY a /b%',
  'COPY --link a /b%',
  'COPY <<E /b%\nx\nE',
  'RUN <<E\nx%\nE',
  'CMD x',
  'ENTRYPOINT x',
  'SHELL ["x"]',
  'ONBUILD RUN x',
  '# A% about\nARG A%',
  'LABEL a=$A%',
  'ENV a%=$a%-',
  'FROM scratch',
  'FROM s%- AS s%\nENV A%=v',
  'FROM s%- AS s%\nARG A%=v\nLABEL A%=v',
  'FROM s0 AS s%\nENV A%=v',
  'FROM scratch AS s%\nCOPY --from=s%- a b',
];
const COUNT = 2000;
const FAR_FROM_LINEAR = 3;
/** Fewer milliseconds than this cannot be told from other work of the process. */
const NOTHING = 40;

function textOf(line: string, count: number): string {
  const lines = ['FROM scratch AS s0'];
  for (let at = 1; at <= count; at++)
    lines.push(line.replaceAll('%-', String(at - 1)).replaceAll('%', String(at)));
  return `${lines.join('\n')}\n`;
}

async function cpu(run: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await run();
  return process.cpuUsage(before).user / 1000;
}

const WORK: Readonly<Record<string, (request: FrontendRequest) => Promise<unknown>>> = {
  check: async (request) => checkText(await checkBuild(request), (name) => name),
  outline: (request) => outlineBuild(request, (findings) => findings.events()),
};

for (const line of LINES) {
  test(`twice as many lines take twice as long: ${line.replaceAll('\n', ' | ')}`, async () => {
    for (const [kind, run] of Object.entries(WORK)) {
      let ratio = 0;
      for (let tries = 0; tries < 5; tries++) {
        const [once, twice] = [COUNT, 2 * COUNT].map((count) => requestOf(textOf(line, count)));
        const short = await cpu(() => run(once!));
        const long = await cpu(() => run(twice!));
        ratio = long < NOTHING ? 0 : long / Math.max(short, NOTHING / 4);
        if (ratio < FAR_FROM_LINEAR) break;
      }
      assert.ok(ratio < FAR_FROM_LINEAR, `${kind}: ${ratio.toFixed(1)} times as long`);
    }
  });
}

async function convertedTo(text: string): Promise<string> {
  const request = requestOf(text);
  try {
    await convertDockerfile(request, parseDockerfile(request.dockerfile));
    return 'lowered';
  } catch (error) {
    return error instanceof KilnError ? error.code : String(error);
  }
}

test('values that grow too much with each instruction are refused', async () => {
  const code = async (line: string) => {
    const failure = (thrown: unknown) =>
      thrown instanceof KilnError ? thrown.code : String(thrown);
    return await outlineBuild(requestOf(textOf(line, 8000)), () => {}).then(
      () => 'lowered',
      failure,
    );
  };
  assert.is(await code('WORKDIR w'), 'KILN_CWD');
  const triggers = `FROM scratch AS b\n${'ONBUILD RUN x\n'.repeat(300)}${'FROM b\n'.repeat(300)}`;
  const checked = await checkBuild(requestOf(triggers)).then(
    ({ error }) => error?.code,
    (error: unknown) => (error instanceof KilnError ? error.code : String(error)),
  );
  assert.is(checked, 'KILN_DOCKERFILE_TOO_COMPLEX');
  const variables = Array.from(
    { length: 10 },
    (_, at) => `ENV A${at}=${'v'.repeat(20_000)}\n`,
  ).join('');
  const runs = Array.from({ length: 1000 }, (_, at) => `RUN x${at}\n`).join('');
  assert.is(await convertedTo(`FROM scratch\n${variables}${runs}`), 'KILN_DOCKERFILE_TOO_COMPLEX');
  const { error } = await checkBuild(requestOf(`FROM scratch\n${variables}${runs}`));
  assert.is(error?.code, 'KILN_DOCKERFILE_TOO_COMPLEX');
  assert.is(await code('ARG A%=v\nRUN x'), 'KILN_DOCKERFILE_TOO_COMPLEX');
  assert.is(await code('ENV a=${a}xx'), 'KILN_DOCKERFILE_TOO_COMPLEX');
  const ranges = '1-65535 '.repeat(40_000);
  const doubled = Array.from({ length: 60 }, (_, at) => `ARG A${at + 1}=$A${at}$A${at}\n`).join('');
  for (const text of [
    `ARG A0=x\n${doubled}FROM scratch\n`,
    `FROM scratch\nARG A0=x\n${doubled}`,
    `FROM scratch\nARG A=${'x'.repeat(100_000)}\nENV B=${'$A'.repeat(100_000)}\n`,
    `FROM scratch\nEXPOSE ${ranges}\n`,
  ])
    assert.is(await convertedTo(text), 'KILN_DOCKERFILE_TOO_COMPLEX', text.slice(0, 60));
});

test.run();
