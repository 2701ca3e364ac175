import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Environment, envOf } from './stage-state.ts';
import { type Order, Versions } from './versions.ts';

const name = fc.constantFrom('a', 'b', 'c', 'd', '__proto__', '7');

for (const order of ['stays', 'moves'] as const satisfies readonly Order[]) {
  test(`versions of a map equal copies of it, in any order of queries (set again ${order})`, () => {
    /** Each step continues from any existing version. */
    const step = fc.record({ from: fc.nat(), key: name, value: fc.nat(9) });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.array(fc.nat(), { maxLength: 40 }),
        (steps, asked) => {
          const versions = [Versions.of<number>(order)];
          const copies = [new Map<string, number>()];
          for (const { from, key, value } of steps) {
            const at = from % versions.length;
            versions.push(versions[at]!.with(key, value));
            const copy = new Map(copies[at]);
            if (order === 'moves') copy.delete(key);
            copies.push(copy.set(key, value));
          }
          for (const one of [...asked, ...versions.keys()]) {
            const at = one % versions.length;
            assert.equal(versions[at]!.entries(), [...copies[at]!]);
            for (const key of ['a', 'b', '7', 'none'])
              assert.is(versions[at]!.get(key), copies[at]!.get(key));
          }
        },
      ),
    );
  });
}

test('a map knows how many bytes its names and texts have', () => {
  const first = Versions.of<string>('moves', [['a', 'xy']]);
  const second = first.with('é', 'z').with('a', '');
  const other = first.with('b', '123');
  for (const version of [second, other, first, second]) {
    const entries = version.entries();
    assert.is(version.bytes, Buffer.byteLength(entries.flat().join('')));
    assert.is(version.size, entries.length);
  }
});

test('an environment is the same as after setting the config again at each stage', () => {
  const stage = fc.record({
    sets: fc.array(fc.tuple(name, fc.nat(9).map(String), fc.boolean()), { maxLength: 6 }),
  });
  fc.assert(
    fc.property(fc.array(stage, { minLength: 1, maxLength: 5 }), (stages) => {
      let env = Environment.empty();
      let config = envOf(['PATH=/bin', 'a=0']);
      let copy = new Map<string, string>();
      const array = ['PATH=/bin', 'a=0'];
      for (const { sets } of stages) {
        env = env.over(config);
        copy = new Map(copy);
        const set = (key: string, value: string) => {
          copy.delete(key);
          copy.set(key, value);
        };
        for (const entry of array)
          set(entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1));
        for (const [key, value, isEnv] of sets) {
          env = env.with([[key, value]]);
          set(key, value);
          if (!isEnv) continue;
          config = config.with(key, `${key}=${value}`);
          const at = array.findIndex((entry) => entry.startsWith(`${key}=`));
          if (at < 0) array.push(`${key}=${value}`);
          else array[at] = `${key}=${value}`;
        }
        assert.equal([...env], [...copy]);
        assert.equal(
          config.entries().map(([, entry]) => entry),
          array,
        );
        for (const key of copy.keys()) assert.is(env.get(key), copy.get(key));
        assert.equal(new Set(env.keys()), new Set(copy.keys()));
      }
    }),
  );
});

test('of a variable that a config has twice the last one counts, and both are kept', () => {
  const env = envOf(['A=1', 'B', 'A=2']);
  assert.equal(
    [...Environment.empty().over(env)],
    [
      ['B', ''],
      ['A', '2'],
    ],
  );
  assert.equal(
    env
      .with('A', 'A=3')
      .entries()
      .map(([, entry]) => entry),
    ['A=1', 'B', 'A=3'],
  );
});

test.run();
