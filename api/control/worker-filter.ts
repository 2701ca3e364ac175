import { Code, ConnectError } from '@connectrpc/connect';
import type { WorkerRecord } from '../proto/worker.gen.ts';

type Test = (worker: WorkerRecord) => boolean;

/**
 * Reads the filters of a request for the workers, in containerd's syntax. All terms of a text,
 * joined by commas, must match; of several texts one must match. A term is `id` or `labels.NAME`,
 * alone or with `==` or `!=` and a value. Throws a ConnectError for another term.
 */
export function workerFilter(texts: readonly string[]): Test {
  if (texts.length === 0) return () => true;
  const filters = texts.map((text) => text.split(',').filter(Boolean).map(term));
  return (worker) => filters.some((tests) => tests.every((test) => test(worker)));
}

function term(text: string): Test {
  const [, id, name, operator, raw = ''] =
    /^\s*(?:(id)|labels\.("[^"]*"|[^=!"]+))\s*(?:(==|!=)\s*(.*?)\s*)?$/s.exec(text) ?? [];
  if (id === undefined && name === undefined)
    throw new ConnectError(
      `${JSON.stringify(text)} is not a filter of the workers`,
      Code.InvalidArgument,
    );
  const label = unquoted(name ?? '').trim();
  const value = unquoted(raw);
  return ({ id: own, labels }) => {
    const found =
      id === undefined ? (Object.hasOwn(labels, label) ? labels[label] : undefined) : own;
    if (operator === undefined) return found !== undefined;
    return (found === value) === (operator === '==');
  };
}

function unquoted(text: string): string {
  return text.replace(/^"(.*)"$/s, '$1');
}
