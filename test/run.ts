/**
 * Runs the test files (uvu suites), each in its own process, several at a time. Prints the result
 * of each file, the output of files that fail, every skip with its reason, and the totals. A skip
 * whose reason is not accepted (skips.ts) fails the run.
 *
 *   node test/run.ts [SUBSTRING…]  files whose path contains one of them; all when none is given
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { FOLDER_NAMES } from '../scripts/directions/sources.ts';
import { isAccepted } from './skips.ts';

const ROOT = join(import.meta.dirname, '..');
/** A file that takes longer is killed and counts as a failure. */
const FILE_LIMIT_MS = 8 * 60_000;

interface FileResult {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skips: readonly string[];
  readonly output: string;
  readonly ms: number;
}

function count(output: string, label: string): number {
  // A file may run several suites, and each prints its own totals.
  return [...output.matchAll(new RegExp(`^\\s*${label}:\\s+(\\d+)`, 'gm'))].reduce(
    (sum, match) => sum + Number(match[1]),
    0,
  );
}

function runFile(file: string): Promise<FileResult> {
  const started = performance.now();
  return new Promise((done) => {
    const child = spawn(process.execPath, [file], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1' },
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (output += text));
    const timer = setTimeout(() => {
      output += `\nkilled after ${FILE_LIMIT_MS / 1000} s\n`;
      child.kill('SIGKILL');
    }, FILE_LIMIT_MS);
    child.on('close', (code) => {
      clearTimeout(timer);
      const passed = count(output, 'Passed');
      const total = count(output, 'Total');
      const skips = [...output.matchAll(/^SKIP (.*)$/gm)].map((match) => match[1] ?? '');
      // A file that crashes or has no test counts as one failure.
      const counted = total - passed;
      const failed = counted > 0 ? counted : code !== 0 || total + skips.length === 0 ? 1 : 0;
      done({ file, passed, failed, skips, output, ms: performance.now() - started });
    });
  });
}

const wanted = process.argv.slice(2);
const files = globSync(`{${FOLDER_NAMES},scripts,test}/**/*.test.ts`, { cwd: ROOT })
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  // End-to-end tests take longest, so they start first.
  .sort(
    (a, b) => Number(b.startsWith('test/')) - Number(a.startsWith('test/')) || (a < b ? -1 : 1),
  );

const results: FileResult[] = [];
const queue = [...files];
async function lane(): Promise<void> {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const result = await runFile(file);
    results.push(result);
    const verdict = result.failed > 0 ? 'FAIL' : 'ok  ';
    console.log(
      `${verdict} ${file} (${result.passed} ` +
        `passed${result.skips.length ? `, ${result.skips.length} skipped` : ''}, ` +
        `${(result.ms / 1000).toFixed(1)} s)`,
    );
    if (result.failed > 0) console.log(result.output);
  }
}
await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, lane));

let refused = 0;
for (const { file, skips } of results) {
  for (const skip of skips) {
    const accepted = isAccepted(skip);
    if (!accepted) refused++;
    console.log(
      `${accepted ? 'skipped' : 'FAIL: skipped without an accepted reason (test/skips.ts)'}: ` +
        `${file}: ${skip}`,
    );
  }
}
const sum = (pick: (result: FileResult) => number) =>
  results.reduce((total, result) => total + pick(result), 0);
const failed = sum((result) => result.failed) + refused;
console.log(
  `${sum((result) => result.passed)} passed, ${failed} failed, ` +
    `${sum((result) => result.skips.length) - refused} skipped`,
);
process.exitCode = failed > 0 || results.length === 0 ? 1 : 0;
