import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { asDigest, digestOf } from '../base/digest.ts';
import type { ProgressEvent } from '../base/progress.ts';
import type { ResolvedImage } from '../frontend/frontend.ts';
import type { SourceImage } from '../registry/pull.ts';
import { Foresight } from './foresight.ts';

const OLD = asDigest(digestOf('old'));
const NEW = asDigest(digestOf('new'));
const PLATFORM = { os: 'linux', architecture: 'amd64' } as const;

const image = (digest: typeof OLD): ResolvedImage => ({
  name: 'base:1',
  digest,
  config: { architecture: 'amd64', os: 'linux' },
  local: false,
});
const event = (short: string): ProgressEvent => ({ kind: 'warning', short, detail: [] });

/** A build that looks its base up, says which one it got, and waits until that is confirmed. */
function world(recalled: typeof OLD | 'nothing' = OLD) {
  const answer = Promise.withResolvers<ResolvedImage>();
  const shown: string[] = [];
  const got: string[] = [];
  let questions = 0;
  const foresight = new Foresight((one) => one.kind === 'warning' && shown.push(one.short));
  const resolve = foresight.resolver(
    {
      recall: async () =>
        recalled === 'nothing' ? undefined : (image(recalled) as unknown as SourceImage),
    },
    () => {
      questions++;
      return answer.promise;
    },
  );
  const build = async () => {
    foresight.progress(event('begun'));
    const { digest } = await resolve('base:1', PLATFORM, { pull: false });
    got.push(digest);
    foresight.progress(event(`built on ${digest}`));
    await foresight.confirmed();
    return digest;
  };
  const signal = new AbortController().signal;
  return {
    answer,
    shown,
    got,
    foresight,
    run: () => foresight.attempt(signal, build),
    questions: () => questions,
  };
}

const settled = () => new Promise((done) => setImmediate(() => setImmediate(done)));

test('a build goes on with what is recalled, and is shown when the answer is that', async () => {
  const { answer, shown, got, run, questions } = world();
  const running = run();
  await settled();
  assert.equal([got, shown], [[OLD], ['begun']]);
  answer.resolve(image(OLD));
  assert.is(await running, OLD);
  assert.equal([got, questions()], [[OLD], 1]);
  assert.equal(shown, ['begun', `built on ${OLD}`]);
});

test('after another answer the build begins again, and asks nothing again', async () => {
  const { answer, shown, got, run, questions } = world();
  const running = run();
  await settled();
  answer.resolve(image(NEW));
  assert.is(await running, NEW);
  assert.equal([got, questions()], [[OLD, NEW], 1]);
  assert.equal(shown, ['begun', `built on ${NEW}`]);
});

test('an error of the registry is that of the build', async () => {
  const { answer, shown, run, questions } = world();
  const running = run().catch(String);
  await settled();
  answer.reject(new Error('gone'));
  assert.is(await running, 'Error: gone');
  assert.equal([shown, questions()], [['begun'], 1]);
});

test('nothing is assumed that is not known, or after the build gave up', async () => {
  for (const giveUp of [false, true]) {
    const { answer, got, foresight, run } = world(giveUp ? OLD : 'nothing');
    if (giveUp) foresight.giveUp();
    const running = run();
    await settled();
    assert.equal(got, []);
    answer.resolve(image(NEW));
    assert.is(await running, NEW);
    assert.equal(got, [NEW]);
  }
});

test('what fails with a base that is assumed fails only when the base is right', async () => {
  for (const [digest, wanted] of [
    [OLD, 'Error: no'],
    [NEW, 'done'],
  ] as const) {
    const { answer, foresight } = world();
    const resolve = foresight.resolver(
      { recall: async () => image(OLD) as unknown as SourceImage },
      () => answer.promise,
    );
    const running = foresight
      .attempt(new AbortController().signal, async () => {
        const found = await resolve('base:1', PLATFORM, { pull: false });
        if (found.digest === OLD) throw new Error('no');
        return 'done';
      })
      .catch(String);
    await settled();
    answer.resolve(image(digest));
    assert.is(await running, wanted);
  }
});

test.run();
