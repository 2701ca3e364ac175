import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fileChanges, imageSource } from '../solver/llb/builder.ts';
import { Control } from './proto/control.gen.ts';
import { LLBBridge } from './proto/gateway.gen.ts';
import {
  type CheckPolicyRequest,
  CheckPolicyResponseSchema,
  PolicyVerifier,
} from './proto/policysession.gen.ts';
import { MatchType, PolicyAction, type PolicySchema } from './proto/sourcepolicy.gen.ts';
import { type DrivingClient, definitionOf, filesGraph, Served } from './served-fixture.ts';

const ONE = 'docker-image://example.com/one:1';
const TWO = 'docker-image://example.com/two:1';
const { solve, readFile, resolveImageConfig, resolveSourceMeta } = LLBBridge.method;
const { ALLOW, DENY, CONVERT } = PolicyAction;

type Policy = MessageInitShape<typeof PolicySchema>;

let served: Served;
test.before(async () => {
  served = await Served.open();
  for (const name of ['one', 'two']) {
    const exporters = [{ type: 'image', attrs: { name: `example.com/${name}:1` } }];
    const definition = filesGraph({ '/name': name });
    await served.client.call(Control.method.solve, { ref: name, definition, exporters });
  }
});
test.after(async () => {
  assert.equal(served.bugs, []);
  await served[Symbol.asyncDispose]();
});

const graphOf = (identifier: string) =>
  definitionOf(imageSource(identifier.replace('docker-image://', ''), { note: {} }));

const deny = (identifier: string): Policy => ({
  rules: [{ action: DENY, selector: { identifier } }],
});
const convert = (from: string, identifier: string): Policy => ({
  rules: [{ action: CONVERT, selector: { identifier: from }, updates: { identifier } }],
});

async function nameIn(bridge: DrivingClient, ref: string): Promise<string> {
  return Buffer.from((await bridge.call(readFile, { ref, filePath: '/name' })).data).toString();
}

test('a build whose source is denied is refused in the words of BuildKit', async () => {
  const definition = graphOf(ONE);
  const answer = served.client.call(Control.method.solve, {
    ref: 'denied',
    definition,
    sourcePolicy: deny('docker-image://example.com/*'),
  });
  const { text } = await served.refused(answer);
  assert.match(
    text,
    `error evaluating the source policy: source "${ONE}" denied by policy: source denied by policy`,
  );
  const other = { ref: 'other', definition, sourcePolicy: deny(TWO) };
  await served.client.call(Control.method.solve, other);
});

test('a converted source is what is read, and its steps are other steps', async () => {
  const copy = (identifier: string) =>
    definitionOf(
      fileChanges(
        imageSource(identifier.replace('docker-image://', ''), { note: {} }),
        [{ kind: 'mkdir', mkdir: { path: '/d', mode: 0o755, makeParents: false, timestamp: -1 } }],
        { name: 'mkdir' },
      ),
    );
  const name = (sourcePolicy?: Policy) => {
    let found = '';
    const request = sourcePolicy ? { sourcePolicy } : {};
    return served
      .drive(request, async (bridge) => {
        const { ref } = await bridge.call(solve, { definition: copy(ONE), evaluate: true });
        found = await nameIn(bridge, ref);
        return {};
      })
      .then(() => found);
  };
  assert.is(await name(), 'one');
  assert.is(await name(convert(ONE, TWO)), 'two');
  assert.is(await name(), 'one');
  const wild = convert('docker-image://example.com/o*:1', 'docker-image://example.com/two:1');
  assert.is(await name(wild), 'two');
});

test('policies of one call apply to that call, after those of the build', async () => {
  await served.drive(
    { sourcePolicy: convert('docker-image://example.com/zero:1', ONE) },
    async (bridge) => {
      const zero = graphOf('docker-image://example.com/zero:1');
      const plain = await bridge.call(solve, { definition: zero });
      assert.is(await nameIn(bridge, plain.ref), 'one');
      const sourcePolicies = [convert(ONE, TWO)];
      const changed = await bridge.call(solve, { definition: zero, sourcePolicies });
      assert.is(await nameIn(bridge, changed.ref), 'two');
      const denied = bridge.call(solve, { definition: zero, sourcePolicies: [deny(ONE)] });
      assert.match((await served.refused(denied)).text, /denied by policy/);
      const meta = { source: { identifier: ONE }, sourcePolicies: [deny('*')] };
      assert.match(
        (await served.refused(bridge.call(resolveSourceMeta, meta))).text,
        `could not resolve image due to policy: source "${ONE}" denied by policy`,
      );
      const config = await bridge.call(resolveImageConfig, {
        ref: 'example.com/one:1',
        sourcePolicies,
      });
      assert.is(config.ref, 'example.com/two:1');
      const moved = await bridge.call(resolveSourceMeta, {
        source: { identifier: ONE },
        sourcePolicies,
      });
      assert.is(moved.source?.identifier, TWO);
      assert.is(moved.image?.digest, config.digest);
      return {};
    },
  );
});

test('a policy that is malformed is an error of the build', async () => {
  const told = async (sourcePolicy: Policy) => {
    const request = { ref: `bad${Math.random()}`, definition: graphOf(ONE), sourcePolicy };
    return (await served.refused(served.client.call(Control.method.solve, request))).text;
  };
  assert.match(await told({ rules: [{ action: DENY }] }), /invalid nil selector in policy/);
  const unknown = { rules: [{ action: 7 as never, selector: { identifier: '*' } }] };
  assert.match(await told(unknown), /7 is an unknown type of action/);
  const { REGEX } = MatchType;
  const regex = { rules: [{ action: DENY, selector: { identifier: '(', matchType: REGEX } }] };
  assert.match(await told(regex), /invalid regex "\("/);
});

/** Solves a graph of ONE while the client decides by `answers`, one after the other. */
async function deciding(
  ...answers: ((
    request: CheckPolicyRequest,
  ) => MessageInitShape<typeof CheckPolicyResponseSchema>['result'])[]
) {
  const id = `session${Math.random()}`;
  const asked: CheckPolicyRequest[] = [];
  using _session = served.client.openSession(id, (router) =>
    router.service(PolicyVerifier, {
      checkPolicy(request) {
        asked.push(request);
        const answer = answers[Math.min(asked.length, answers.length) - 1]!;
        return create(CheckPolicyResponseSchema, {
          result: answer(request) ?? { case: undefined },
        });
      },
    }),
  );
  let name = '';
  const solving = served.drive({ sourcePolicySession: id }, async (bridge) => {
    const { ref } = await bridge.call(solve, { definition: graphOf(ONE) });
    name = await nameIn(bridge, ref);
    return {};
  });
  return { name: await solving.then(() => name), asked };
}

const decision = (value: object) => ({ case: 'decision', value }) as const;

test('a client decides about the sources of its build', async () => {
  const allowed = await deciding(() => decision({ action: ALLOW }));
  assert.is(allowed.name, 'one');
  assert.equal(
    allowed.asked.map(({ source }) => [source?.source?.identifier, source?.image]),
    [[ONE, undefined]],
  );
  const converted = await deciding(
    () => decision({ action: CONVERT, update: { identifier: TWO, attrs: { foo: 'bar' } } }),
    () => decision({ action: ALLOW }),
  );
  assert.is(converted.name, 'two');
  assert.equal(converted.asked[1]?.source?.source?.attrs, { foo: 'bar' });
  const told = await deciding(
    ({ source, platform }) => ({
      case: 'request',
      value: { source: source!.source!, ...(platform && { platform }) },
    }),
    () => decision({ action: ALLOW }),
  );
  const { image } = told.asked[1]!.source!;
  assert.match(image?.digest ?? '', /^sha256:/);
  assert.is(JSON.parse(Buffer.from(image!.config).toString()).rootfs.type, 'layers');
});

test('a client that denies a source is told so, with its reasons', async () => {
  const denyMessages = [{ message: 'blocked' }, { message: 'use another' }];
  const denied = deciding(() => decision({ action: DENY, denyMessages }));
  const error = await served.client.refused(denied);
  const text = decodeURIComponent(error.details);
  assert.match(text, `source "${ONE}" not allowed by policy: action DENY`);
  const details = Buffer.from(error.metadata.get('grpc-status-details-bin')[0] as Buffer);
  assert.match(details.toString('latin1'), /policysession\.DecisionResponse\+json/);
  assert.match(details.toString('latin1'), /"denyMessages":\[\{"message":"blocked"\}/);
  const failing = deciding(() => {
    throw new ConnectError('policy denied', Code.Unknown);
  });
  assert.match((await served.refused(failing)).text, /policy denied/);
});

test('a client that asks without end, or about another source, is refused', async () => {
  const again = deciding(() => decision({ action: CONVERT, update: { identifier: ONE } }));
  assert.match((await served.refused(again)).text, /too many policy requests/);
  const other = deciding(() => ({ case: 'request', value: { source: { identifier: TWO } } }));
  assert.match(
    (await served.refused(other)).text,
    /policy requested different source identifier: .*two.* != .*one/,
  );
  const empty = deciding(() => ({ case: undefined }));
  assert.match((await served.refused(empty)).text, /no decision in policy response/);
});

test.run();
