import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ProgressEvent, WarningEvent } from '../../base/progress.ts';
import { BuildLog, readLog } from './build-log.ts';

test('a Dockerfile that many warnings carry is written once, and read with each of them', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-log-'));
  try {
    const warn = (name: string, line: number): WarningEvent => {
      const text = `FROM ${name}\n`.repeat(1000);
      return {
        kind: 'warning',
        short: `w${line}`,
        detail: [],
        source: { name, text, startLine: line, endLine: line },
      };
    };
    const plain: WarningEvent = { kind: 'warning', short: 'without a place', detail: [] };
    const events: ProgressEvent[] = [
      warn('a', 1),
      plain,
      warn('a', 2),
      warn('a', 3),
      warn('b', 1),
      warn('b', 2),
      warn('a', 4),
    ];
    let path = '';
    {
      using log = new BuildLog(directory, { context: '.' });
      for (const event of events) log.event(event);
      log.end({});
      path = join(directory, `${log.id}.jsonl`);
    }
    assert.equal(
      readLog(directory, path.slice(directory.length + 1, -'.jsonl'.length)).events,
      events,
    );
    assert.ok(
      statSync(path).size < 3.5 * 8000,
      'a text is written once for a row of warnings about it',
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.run();
