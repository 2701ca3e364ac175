import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, ROOT, run } from './rig.ts';

/** Typed text, with words that the completion must offer or must not. Every shell is tested. */
const CASES: readonly {
  readonly line: string;
  readonly offers: readonly string[];
  readonly not?: readonly string[];
}[] = [
  { line: 'kiln bui', offers: ['build'], not: ['push'] },
  { line: 'kiln im', offers: ['images', 'image', 'imagetools'], not: ['build'] },
  { line: 'kiln build --no-c', offers: ['--no-cache', '--no-cache-filter'], not: ['--network'] },
  {
    line: 'kiln build --progress ',
    offers: ['auto', 'tty', 'plain', 'quiet', 'none', 'rawjson'],
    not: ['--tag'],
  },
  { line: 'kiln build -o type=lo', offers: ['type=local'], not: ['type=oci'] },
  { line: 'kiln run --network ', offers: ['default', 'none', 'host'], not: ['plain'] },
  { line: 'kiln cache ', offers: ['ls', 'inspect', 'rm', 'export', 'import'], not: ['build'] },
  { line: 'kiln cache ls --rec', offers: ['--records'], not: ['--format'] },
  { line: 'kiln debug dump-llb --format ', offers: ['json', 'binary'], not: ['plain'] },
  { line: 'kiln completion ', offers: ['bash', 'zsh', 'fish'], not: ['build'] },
];

const script = async (shell: string) =>
  (await run([KILN, 'completion', shell], { expect: 0 })).stdout;

test('kiln completion prints the script of each shell, and refuses others', async () => {
  for (const [shell, file] of Object.entries({
    bash: 'kiln.bash',
    zsh: '_kiln',
    fish: 'kiln.fish',
  }))
    assert.is(await script(shell), readFileSync(join(ROOT, 'completions', file), 'utf8'));
  const { code, stderr } = await run([KILN, 'completion', 'tcsh']);
  assert.is(code, 2);
  assert.match(stderr, /KILN_USAGE/);
});

test('bash completes', async () => {
  const ask =
    `eval "$1"; COMP_LINE=$2 COMP_POINT=\${#2}; _kiln 2>/dev/null; printf '%s\\n' ` +
    '"${COMPREPLY[@]}"';
  const offered = async (line: string) =>
    (
      await run(['bash', '--norc', '-c', ask, 'bash', await script('bash'), line], { expect: 0 })
    ).stdout.split('\n');
  for (const { line, offers, not = [] } of CASES) {
    // Bash treats the text before an equals sign as another word.
    const words = offers.map((word) =>
      line.includes('=') ? word.slice(word.indexOf('=') + 1) : word,
    );
    const found = await offered(line);
    for (const word of words)
      assert.ok(found.includes(word), `${line}: ${word} is not in ${found.join(' ')}`);
    for (const word of not) assert.not(found.includes(word), `${line}: ${word}`);
  }
  assert.equal((await offered('kiln build --progress=pl')).filter(Boolean), ['plain']);
  assert.equal((await offered('kiln build -t app --output type=ta')).filter(Boolean), ['tar']);
});

test('bash completes a line in a terminal', async () => {
  const file = join(ROOT, 'completions/kiln.bash');
  const typed = `source ${file}; kiln() { printf '<%s>' "$@"; }; PS1=\n`;
  const keys = 'kiln build --progress=rawj\t--no-cache-f\tx --output type=ta\t\nexit\n';
  const { stdout } = await run(['script', '-qec', 'bash --norc --noprofile -i', '/dev/null'], {
    stdin: typed + keys,
  });
  assert.match(stdout, /<build><--progress=rawjson><--no-cache-filter><x><--output><type=tar>/);
});

test('zsh completes', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-zsh-'));
  try {
    // A widget that runs after the completion writes the completed line. When several words match,
    // zsh completes their common beginning.
    const ask = `zmodload zsh/zpty
      zpty kiln zsh -f -i
      zpty -w kiln "PS1=; autoload -Uz compinit; compinit -D -u; source $1; \
unsetopt listambiguous; setopt menucomplete"
      zpty -w kiln "dump() { print -r -- \\"\\$BUFFER\\" >| $3; exit }; zle -N dump; \
bindkey '^X' dump; bindkey '^I' menu-complete; precmd() { print REA''DY }"
      zpty -r kiln seen '*READY*'
      zpty -w -n kiln "$2"$'\\t\\x18'
      while zpty -r kiln seen; do :; done`;
    const completed = async (line: string) => {
      const answer = join(directory, 'line');
      rmSync(answer, { force: true });
      const env = { TERM: 'xterm', HOME: directory };
      await run(['zsh', '-f', '-c', ask, 'zsh', join(ROOT, 'completions/_kiln'), line, answer], {
        env,
        expect: undefined,
      });
      return readFileSync(answer, 'utf8').trim();
    };
    for (const { line, offers } of CASES) {
      const found = await completed(line);
      const word = found.split(' ').at(-1) ?? '';
      assert.ok(found.startsWith(line.trimEnd()), `${line} became ${found}`);
      assert.ok(
        offers.includes(word.replace(/=$/, '')),
        `${line} became ${found}, which ends in none of ${offers.join(' ')}`,
      );
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('fish completes', async () => {
  const file = join(ROOT, 'completions/kiln.fish');
  for (const { line, offers, not = [] } of CASES) {
    const ask = `source ${file}; complete -C '${line}'`;
    const { stdout } = await run(['fish', '--no-config', '-c', ask], { expect: 0 });
    const found = stdout.split('\n').map((row) => row.split('\t', 1)[0]);
    for (const word of offers)
      assert.ok(found.includes(word), `${line}: ${word} is not in ${found.join(' ')}`);
    for (const word of not) assert.not(found.includes(word), `${line}: ${word}`);
  }
});

test('the man page is valid troff and describes every command', async () => {
  const { stdout, stderr } = await run(['man', '-l', '--warnings', join(ROOT, 'man/kiln.1')], {
    env: { LC_ALL: 'C.UTF-8', MANWIDTH: '100', MANPAGER: 'cat', MAN_KEEP_FORMATTING: '' },
    expect: 0,
  });
  assert.is(stderr, '');
  for (const words of [
    /^ {3}kiln build /m,
    /^ {3}kiln cache import /m,
    /--platform <list>/,
    /KILN_ROOT/,
    /maxUsedSpace/,
  ])
    assert.match(stdout, words);
});

test.run();
