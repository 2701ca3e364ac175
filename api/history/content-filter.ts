import { Code, ConnectError } from '@connectrpc/connect';
import type { HistoryBlob } from './build-history.ts';

type Test = (blob: HistoryBlob) => boolean;

/**
 * Reads the filters of a request for a list of blobs, in containerd's syntax. All terms of a text,
 * joined by commas, must match; of several texts one must match. A term is `digest` or `size` with
 * `==` or `!=`, or a label. No blob has labels. Throws a ConnectError for another term.
 */
export function contentFilter(texts: readonly string[]): Test {
  if (texts.length === 0) return () => true;
  const filters = texts.map((text) => text.split(',').filter(Boolean).map(term));
  return (blob) => filters.some((tests) => tests.every((test) => test(blob)));
}

function term(text: string): Test {
  const [, field = '', operator, raw = ''] =
    /^(digest|size|labels\.[^=!~]+)(?:(==|!=|~=)(.*))?$/s.exec(text.trim()) ?? [];
  const value = raw.replace(/^"(.*)"$/s, '$1');
  if (field.startsWith('labels.')) return () => operator === '!=';
  if (field !== '' && operator === undefined) return () => true;
  if (field !== '' && operator !== '~=')
    return (blob) => (String(blob[field as 'digest' | 'size']) === value) === (operator === '==');
  throw new ConnectError(
    `${JSON.stringify(text)} is not a filter of the content`,
    Code.InvalidArgument,
  );
}
