import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Returns a function that makes an empty directory, which goes when `scope` is disposed. */
export function scratchIn(scope: AsyncDisposableStack): () => string {
  return () => {
    const path = mkdtempSync(join(tmpdir(), 'kiln-lent-'));
    scope.defer(() => rmSync(path, { recursive: true, force: true }));
    return path;
  };
}
