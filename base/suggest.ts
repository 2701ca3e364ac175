const MAX_CANDIDATES = 100;

/**
 * The known word nearest to `word`, if fewer than three edits away, so that it may be a typing
 * error. The answer follows the case of `word`. The result is undefined when `word` itself is
 * known: the error was then about something else.
 */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = 3;
  let looked = 0;
  for (const candidate of known) {
    // The work is limited: thousands of unknown words may each be compared with thousands of known
    // ones.
    if (++looked > MAX_CANDIDATES) break;
    const lower = candidate.toLowerCase();
    if (lower === wanted) return undefined;
    const distance = editDistance(wanted, lower, bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best === undefined ? undefined : inCaseOf(word, best);
}

/** ` (did you mean X?)`, or the empty string when no known word is near. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const found = nearest(word, known);
  return found === undefined ? '' : ` (did you mean ${found}?)`;
}

function inCaseOf(model: string, word: string): string {
  if (model === model.toLowerCase()) return word.toLowerCase();
  return model === model.toUpperCase() ? word.toUpperCase() : word;
}

/**
 * The Levenshtein distance of two words. When it is not below `limit`, the result is any number of
 * at least `limit`.
 */
export function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + change));
    }
    // No later row has a smaller number than the smallest of this row.
    if (Math.min(...next) >= limit) return limit;
    row = next;
  }
  return row[b.length]!;
}
