import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnErrorCode } from '../base/codes.ts';
import { KilnError } from '../base/errors.ts';
import { reproduction } from './reproduce.ts';

function failedAt(line: number, text: string, code: KilnErrorCode = 'KILN_STEP_FAILED'): KilnError {
  const at = { line, column: 0 };
  return new KilnError(code, 'it failed', {
    place: { kind: 'source', source: { name: 'Dockerfile', text }, start: at, end: at },
  });
}

const STAGES = 'FROM a AS one\nRUN x\nFROM b\nRUN y\nFROM c AS Three\nRUN z\n';

test('the target is the stage of the failed line, by its name or its number', () => {
  for (const [line, target] of [
    [2, 'one'],
    [4, '1'],
    [6, 'three'],
  ] as const)
    assert.is(
      reproduction(['.'], failedAt(line, STAGES)),
      `kiln build --target ${target} --on-error=shell .`,
    );
  assert.is(reproduction(['.'], failedAt(2, 'FROM a\nRUN x\n')), 'kiln build --on-error=shell .');
});

test('flags about the result are left out, flags about the steps are kept', () => {
  const dropped = [
    '-t',
    'x',
    '--tag=y',
    '--output',
    'out',
    '-o',
    'type=oci',
    '--push',
    '--load',
    '-q',
    '--no-cache',
    '--target',
    'three',
  ];
  const kept = [
    '--build-arg',
    'A=b c',
    '--secret',
    'id=s,src=f',
    '--ssh',
    'default',
    '-f',
    'D',
    '--network=host',
  ];
  assert.is(
    reproduction([...dropped, ...kept, '.'], failedAt(2, STAGES)),
    "kiln build --target one --on-error=shell --build-arg 'A=b c' --secret id=s,src=f --ssh " +
      'default -f D --network=host .',
  );
});

test('logins and the values of arguments with names like secrets are left out', () => {
  const argv = [
    '--build-arg',
    'API_KEY=v',
    '--build-arg=DB_PASSWORD=v',
    '--build-context',
    'c=https://u:p@h/c.git',
    'https://token@h/r.git',
  ];
  assert.is(
    reproduction(argv, failedAt(2, 'FROM a\nRUN x\n')),
    'kiln build --on-error=shell --build-arg API_KEY --build-arg DB_PASSWORD ' +
      '--build-context c=https://h/c.git https://h/r.git',
  );
});

test('there is no such command for other failures, after a shell, or for standard input', () => {
  assert.is(reproduction(['.'], failedAt(2, STAGES, 'KILN_SECRET_NOT_FOUND')), undefined);
  for (const argv of [
    ['-'],
    ['-f', '-', '.'],
    ['--secret', 'id=a,src=-', '.'],
    ['--secret=id=a,src=/dev/stdin', '.'],
    ['--on-error=shell', '.'],
  ])
    assert.is(reproduction(argv, failedAt(2, STAGES)), undefined, argv.join(' '));
});

test.run();
