import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { PEER_FLAGS, PEERS, peerFlagsOf } from '../reference/peer-flags.ts';
import { parseBuildFlags } from './build-flags.ts';
import { FIXED_FLAGS } from './podman-fixed.ts';

/*
 * Every flag that other builders have, and what `kiln build` makes of it. The lists in `testing/`
 * are from their helps. A flag that is in a list but not in the table fails, and so does a row that
 * is in no list. Each row runs through the parser of `kiln build`, so that no flag is taken without
 * an effect or a word.
 */

const DIRECTORY = realpathSync(mkdtempSync(join(tmpdir(), 'kiln-flags-')));
process.once('exit', () => rmSync(DIRECTORY, { recursive: true, force: true }));
mkdirSync(join(DIRECTORY, 'lib'));
const FILE = join(DIRECTORY, 'file');
writeFileSync(FILE, 'FROM_FILE=1\n');
process.chdir(DIRECTORY);

/** What a flag needs beside it. */
const BESIDE: Readonly<Record<string, readonly string[]>> = {
  '--annotation': [],
  '--memory-swap': ['--memory=32m'],
  '--push': ['--tag=a/b'],
  '--volume': [`--allow=fs.read=${DIRECTORY}`],
};

const ENV = { HTTP_PROXY: 'http://proxy:1' };

/** The options by name. Those of the request are beside the others. */
function parsed(words: readonly string[]) {
  const found = parseBuildFlags([...words, '.'], { env: ENV, stdoutIsTerminal: false });
  if (!found) throw new Error(`${words.join(' ')} asks for help`);
  const { request, ...options } = found.options;
  return { options: { ...options, ...request } as Record<string, unknown>, told: found.warnings };
}

function changed(words: readonly string[], beside: readonly string[]): string[] {
  const { options: before } = parsed(beside);
  const { options } = parsed([...beside, ...words]);
  return Object.keys(options).filter((name) => !isDeepStrictEqual(options[name], before[name]));
}

test('the table has each flag of the helps, and no other', () => {
  const all = new Set(PEERS.flatMap((list) => peerFlagsOf(list).map(({ flag }) => flag)));
  assert.equal(Object.keys(PEER_FLAGS).sort(), [...all].sort());
});

for (const list of PEERS)
  for (const { flag, short, takesValue } of peerFlagsOf(list)) {
    const verdict = PEER_FLAGS[flag];
    if (!verdict) continue;
    const beside = BESIDE[flag] ?? [];
    const { value } = verdict;
    const long = value === undefined ? flag : `${flag}=${value}`;

    if (verdict.kind === 'refused')
      test(`${list}: ${flag} is refused with what to do instead`, () => {
        for (const words of [[flag, 'x'], [`${flag}=x`]])
          try {
            parsed(words);
            assert.unreachable(`${words} is taken`);
          } catch (error) {
            assert.instance(error, KilnError);
            assert.is((error as KilnError).code, 'KILN_FLAG_UNSUPPORTED');
            assert.is((error as KilnError).exitCode, 2);
            assert.equal((error as KilnError).place, { kind: 'flag', flag });
            assert.ok(((error as KilnError).hint ?? '').length > 10);
          }
      });
    else if (verdict.kind === 'told')
      test(`${list}: ${flag} has no effect, and a warning says so`, () => {
        assert.equal(changed([long], beside), []);
        assert.match(parsed([long]).told.join('\n'), `${flag} has no effect: `);
      });
    else {
      const changes = verdict.kind === 'already' ? [] : [...verdict.changes].sort();
      test(`${list}: ${flag} changes ${changes.join() || 'nothing'}`, () => {
        assert.equal(changed([long], beside).sort(), changes);
        const told = parsed([...beside, long]).told.filter((sentence) => sentence.includes(flag));
        assert.equal(told, [], 'a flag with an effect needs no warning');
        const { options } = parsed([...beside, long]);
        for (const words of otherForms(flag, short, value, takesValue))
          assert.equal(parsed([...beside, ...words]).options, options, words.join(' '));
      });
    }
  }

/** The other ways to write a flag that pflag takes. */
function otherForms(
  flag: string,
  short: string | undefined,
  value: string | undefined,
  takesValue: boolean,
): string[][] {
  // Of buildah, -D is another flag than docker's.
  const letter = flag === '--disable-compression' ? undefined : short;
  if (value === undefined)
    return [
      [`${flag}=true`],
      [`${flag}=1`],
      [`${flag}=T`],
      [`${flag}=false`, flag],
      ...(letter ? [[letter], [`${letter}=true`]] : []),
    ];
  return [
    ...(takesValue && !Object.hasOwn(FIXED_FLAGS, flag) ? [[flag, value]] : []),
    ...(letter && takesValue
      ? [[letter, value], [`${letter}${value}`], [`${letter}=${value}`]]
      : []),
  ];
}

test('a flag of podman that has one value is refused with another', () => {
  for (const flag of Object.keys(FIXED_FLAGS)) {
    if (flag === '--disable-compression') continue;
    const opposite = /true/.test(FIXED_FLAGS[flag]?.values.join() ?? '') ? 'false' : 'true';
    assert.throws(
      () => parsed([`${flag}=${opposite}`]),
      (error: unknown) =>
        error instanceof KilnError && error.code === 'KILN_FLAG_UNSUPPORTED' && !!error.hint,
      flag,
    );
  }
});

test.run();
