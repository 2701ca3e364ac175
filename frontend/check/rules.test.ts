import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { checkBuild } from '../call/call.ts';
import { checkText } from '../call/texts.ts';
import { requestOf } from '../testing/request.ts';
import { type Example, PAGES } from './examples.ts';
import { RULES, type RuleName } from './rules.ts';

/**
 * The rules that a check of an example reports. All bases except one are empty images for
 * linux/amd64.
 */
async function rulesIn(example: Example, options = ''): Promise<RuleName[]> {
  const { dockerfile, ignore } =
    typeof example === 'string' ? { dockerfile: example, ignore: undefined } : example;
  const platform = /--platform=linux\/(\w+)$/m.exec(dockerfile.split('\n')[0]!)?.[1];
  const request = requestOf(dockerfile, {
    ignore,
    buildArgs: new Map(options === '' ? [] : [['BUILDKIT_DOCKERFILE_CHECK', options]]),
    platforms: platform === undefined ? [] : [{ os: 'linux', architecture: platform }],
    images: (ref) => (ref === 'only-for-s390x' ? 's390x' : true),
  });
  const { warnings, error } = await checkBuild(request);
  // An empty name of a base is also an error.
  if (error && !(error instanceof KilnError && error.code === 'KILN_IMAGE_NAME')) throw error;
  return warnings.map(({ rule }) => rule.name);
}

for (const [name, { bad, good }] of Object.entries(PAGES) as [
  RuleName,
  (typeof PAGES)[RuleName],
][]) {
  const rule = RULES[name];
  const wanted = rule.level === 'experimental' ? `experimental=${name}` : '';
  test(`${name} reports the bad example of its page and not the good one`, async () => {
    assert.ok((await rulesIn(bad, wanted)).includes(name));
    assert.not.ok((await rulesIn(good, wanted)).includes(name));
  });
  const off = rule.level === 'experimental' ? 'not asked for' : 'skipped';
  test(`${name} is silent when ${off}`, async () => {
    assert.not.ok(
      (await rulesIn(bad, rule.level === 'experimental' ? 'skip=' : `skip=${name}`)).includes(name),
    );
  });
}

/** Files that look like a violation of a rule, but are not. */
const NO_FINDING: Readonly<Partial<Record<RuleName, readonly string[]>>> = {
  ShellStateLost: [
    'RUN cd /src && make',
    'RUN (cd /src)',
    'RUN ["cd", "/src"]',
    'RUN . ./install.sh',
    'RUN echo "a; cd /x"',
    "RUN echo 'x' # && cd /x",
    'RUN <<EOF\n#!/usr/bin/env python3\nimport os\ncd /x\nEOF',
    'RUN exec-something cd /x',
  ],
  PackageUpdateAlone: [
    'RUN apt-get update && ./install.sh',
    'RUN apt-get update; apt-get install -y x',
    'RUN apt-get install -y update',
    'RUN <<EOF\napt-get update\napt-get install -y curl\nEOF',
    'RUN git update-index x',
  ],
  SecretInText: [
    'RUN git clone https://$USER:$PASS@example.com/x',
    'RUN curl https://example.com:8443/x@y',
    'RUN git clone git@example.com:team/app.git',
    'ENV KEY=AKIA',
    'RUN --mount=type=secret,id=x curl -H "Authorization: $(cat /run/secrets/x)" ' +
      'https://example.com',
  ],
  InstallAfterCopyAll: [
    'COPY package*.json ./\nRUN npm ci\nCOPY . .\nRUN npm ci --omit=dev',
    'COPY . .\nRUN npm install -g typescript',
    'COPY . .\nRUN pip install .',
    'COPY . .\nRUN --mount=type=cache,target=/root/.npm npm ci',
    'COPY --from=x . .\nRUN npm ci',
    'COPY src .\nRUN npm ci',
  ],
};
for (const [name, bodies] of Object.entries(NO_FINDING) as [RuleName, readonly string[]][]) {
  test(`${name} is silent about what only looks alike`, async () => {
    for (const body of bodies)
      assert.not.ok((await rulesIn(`FROM alpine:3.22\n${body}\n`)).includes(name), body);
  });
}

/** Further files that violate a rule. */
const FINDINGS: Readonly<Partial<Record<RuleName, readonly string[]>>> = {
  ShellStateLost: [
    'RUN mkdir /x && cd /x',
    'RUN export A=1',
    'RUN <<EOF\nset -e\ncd /x\nEOF',
    'RUN . /venv/bin/activate',
    'RUN make; \\\n  cd /x',
  ],
  PackageUpdateAlone: [
    'RUN apt update -qq',
    'RUN apk update',
    'RUN DEBIAN_FRONTEND=x apt-get -y update',
  ],
  SecretInText: [
    `ENV A=AKIA${'ABCDEFGH23456789'}`,
    `ARG T=ghp_${'a1'.repeat(18)}`,
    'COPY <<EOF /k\n-----BEGIN RSA PRIVATE KEY-----\nx\nEOF',
    'RUN pip install -i https://u:p4ss@pypi.example.com/simple x',
  ],
  InstallAfterCopyAll: [
    'COPY ./ /app/\nRUN cd /app && npm ci',
    'ADD . .\nRUN pip3 install --no-cache-dir -r r.txt',
    'COPY . .\nRUN yarn',
  ],
};
for (const [name, bodies] of Object.entries(FINDINGS) as [RuleName, readonly string[]][]) {
  test(`${name} is not easily escaped`, async () => {
    for (const body of bodies)
      assert.ok((await rulesIn(`FROM alpine:3.22\n${body}\n`)).includes(name), body);
  });
}

test("Kiln's own findings fail a build only where experimental= names the rule", async () => {
  const fails = async (options: string) => {
    try {
      await rulesIn('FROM scratch\nRUN cd /\n', options);
      return false;
    } catch (error) {
      assert.is((error as KilnError).code, 'KILN_DOCKERFILE_CHECK');
      return true;
    }
  };
  assert.not.ok(await fails('error=true'));
  assert.not.ok(await fails('error=true;experimental=all'));
  assert.ok(await fails('error=true;experimental=ShellStateLost'));
});

test('a finding about a secret does not show it', async () => {
  const { checkDockerfile } = await import('./check.ts');
  const { parseDockerfile } = await import('../parse.ts');
  const text = 'FROM scratch\nRUN git clone https://ci:hunter2@example.com/x\n';
  const [found] = checkDockerfile(parseDockerfile({ name: 'Dockerfile', text }));
  assert.is(found?.rule.name, 'SecretInText');
  assert.not.match(found!.message, 'hunter2');
  const shown = checkText(await checkBuild(requestOf(text)), (name) => name);
  assert.match(shown, 'Dockerfile:2\n');
  assert.not.match(shown, 'hunter2');
});

test.run();
