import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkBuild } from '../call/call.ts';
import { requestOf } from '../testing/request.ts';

/** The rules and lines of the findings, as a client of the server gets them. */
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
# check=skip=WorkdirRelativePath

MAINTAINER three
`;
  assert.equal(await found(text), ['MaintainerDeprecated 4', 'MaintainerDeprecated 12']);
});

test('the directive of the file is not a comment of its first instruction', async () => {
  const override = new Map([['BUILDKIT_DOCKERFILE_CHECK', 'skip=ConsistentInstructionCasing']]);
  const text = '#check=skip=all\nFROM scratch as base\ncopy Dockerfile .\n';
  assert.equal(await found(text, { buildArgs: override }), ['FromAsCasing 2']);
});

test('clients get the rules of BuildKit, and of Kiln those that the file names', async () => {
  const text = 'FROM scratch\nENV PASSWORD=1 TOKEN_FILE=/t KEY_VERSION=3\nCOPY a b /\n';
  const ignore = '!x\na\n';
  const kiln = ['SuspiciousIgnorePattern 1', 'SecretsUsedInArgOrEnv 2'];
  assert.equal((await found(text, { ignore })).sort(), [...Array(3).fill(kiln[1]), kiln[0]].sort());
  const clients = { ignore, checks: 'buildkit' } as const;
  assert.equal((await found(text, clients)).sort(), ['CopyIgnoredFile 3', kiln[1]].sort());
  const named = `# check=experimental=SuspiciousIgnorePattern\n${text}`;
  assert.ok((await found(named, clients)).includes('SuspiciousIgnorePattern 1'));
});

test.run();
