import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkBuild } from '../call/call.ts';
import { requestOf } from '../testing/request.ts';

/** The rules and lines of the findings. */
async function found(
  text: string,
  options: Parameters<typeof requestOf>[1] = { checks: 'buildkit' },
): Promise<string[]> {
  const { warnings } = await checkBuild(requestOf(text, options));
  return warnings.map(({ rule, range }) => `${rule.name} ${range.start.line}`);
}

test('a comment above an instruction skips a rule for it alone', async () => {
  const text = `FROM scratch AS a
# check=skip=MaintainerDeprecated // he wants it
MAINTAINER one
MAINTAINER two
# check=skip=JSONArgsRecommended,StageNameCasing
# and another comment
CMD x
# check=skip=all
FROM scratch AS Upper
# Check = skip=MaintainerDeprecated the name may be written so, and a blank line is none

MAINTAINER three
`;
  assert.equal(await found(text), ['MaintainerDeprecated 4']);
});

const SECRET = 'SecretsUsedInArgOrEnv 3';

for (const [why, comment, expected] of [
  ['an empty comment ends the comments above it', '# check=skip=all\n#', [4]],
  ['a rule after a space is part of the reason', '# check=skip=Other, SecretsUsedInArgOrEnv', [3]],
  ['the first comment of the name counts', '# check=skip=Other\n# check=skip=all', [4]],
  ['a comment with something before it does not count', '  # check=skip=all', [3]],
  ['an unknown option spoils the whole comment', '# check=skip=all;unknown=1', [3]],
  ['a list may go on with other options', '# check=skip=SecretsUsedInArgOrEnv;error=true', []],
] as const) {
  test(`above an instruction: ${why}`, async () => {
    const lines = await found(`FROM scratch\n${comment}\nENV PASSWORD=1\n`);
    assert.equal(
      lines,
      expected.map((line) => `SecretsUsedInArgOrEnv ${line}`),
    );
  });
}

test('a comment above FROM or a global ARG counts, and one inside an instruction not', async () => {
  const global = '# a comment\n# check=skip=all\nARG TOKEN=1\nFROM scratch\n';
  assert.equal(await found(global), []);
  const inside = 'FROM scratch\nENV \\\n# check=skip=all\n  PASSWORD=1\n';
  assert.equal(await found(inside), ['SecretsUsedInArgOrEnv 2']);
});

test('of two instructions of which one counts, the comment above the later counts', async () => {
  const skip = '# check=skip=MultipleInstructionsDisallowed';
  assert.equal(await found(`FROM scratch\nCMD ["a"]\n${skip}\nCMD ["b"]\n`), []);
  assert.equal(await found(`FROM scratch\n${skip}\nCMD ["a"]\nCMD ["b"]\n`), [
    'MultipleInstructionsDisallowed 3',
  ]);
});

test('rules about the whole file follow its options alone', async () => {
  const text =
    'FROM scratch AS a\n# check=skip=all\nFROM scratch AS a\n# check=skip=all\ncmd ["x"]\n';
  assert.equal(await found(text), ['DuplicateStageName 3', 'ConsistentInstructionCasing 5']);
});

test('a comment asks for an experimental rule, and describes its stage as before', async () => {
  const text =
    '# syntax=docker/dockerfile:1\n\n# bad words\n# check=experimental=all\nFROM scratch AS a\n';
  assert.equal(await found(text), ['InvalidDefinitionDescription 5']);
});

test('a skipped finding fails no build, and error= above an instruction none either', async () => {
  const errorOf = async (text: string) => (await checkBuild(requestOf(text))).error;
  const skipped = '# check=error=true\nFROM scratch\n# check=skip=all\nENV PASSWORD=1\n';
  assert.is(await errorOf(skipped), undefined);
  assert.is(await errorOf('FROM scratch\n# check=error=true\nENV PASSWORD=1\n'), undefined);
});

test('the directive of the file is not a comment of its first instruction', async () => {
  const override = new Map([['BUILDKIT_DOCKERFILE_CHECK', 'skip=ConsistentInstructionCasing']]);
  const text = '#check=skip=all\nFROM scratch as base\ncopy Dockerfile .\n';
  assert.equal(await found(text, { buildArgs: override }), ['FromAsCasing 2']);
});

test('names of files, versions and what is public are no secrets', async () => {
  const names = 'TOKEN_FILE KEY_VERSION DB_PASSWORD_FILE file_token public_key FILE_KEY';
  const text = names.split(' ').map((name) => `ENV ${name}=1\n`);
  assert.equal(await found(`FROM scratch\n${text.join('')}`), []);
  assert.equal(await found('FROM scratch\n\nENV PASSWORDFILE_KEY=1\n'), [SECRET]);
});

test('the last pattern that matches decides whether a COPY is warned of', async () => {
  const text = 'FROM scratch\nCOPY ./a.log a/b /keep.log dir /\n';
  const ignore = '*.log\n!keep.log\na\ndir\n!dir/x\n';
  const { warnings } = await checkBuild(requestOf(text, { ignore, checks: 'buildkit' }));
  assert.equal(
    warnings.map(({ message }) => message),
    ['a.log', 'a/b'].map(
      (name) => `Attempting to Copy file "${name}" that is excluded by .dockerignore`,
    ),
  );
  const whole = 'FROM scratch\nCOPY . /\n';
  assert.equal(await found(whole, { ignore: 'a\nb\n', checks: 'buildkit' }), []);
  assert.equal(await found(whole, { ignore: '**/*\n', checks: 'buildkit' }), ['CopyIgnoredFile 2']);
});

test('clients get the rules of BuildKit, and of Kiln those that the file names', async () => {
  const text = 'FROM scratch\nENV PASSWORD=1 TOKEN_FILE=/t KEY_VERSION=3\nCOPY a b /\n';
  const ignore = '!x\na\n';
  const both = ['CopyIgnoredFile 3', 'SecretsUsedInArgOrEnv 2'];
  assert.equal((await found(text, { ignore })).sort(), [...both, 'SuspiciousIgnorePattern 1']);
  const clients = { ignore, checks: 'buildkit' } as const;
  assert.equal((await found(text, clients)).sort(), both);
  const named = `# check=experimental=SuspiciousIgnorePattern\n${text}`;
  assert.ok((await found(named, clients)).includes('SuspiciousIgnorePattern 1'));
});

test.run();
