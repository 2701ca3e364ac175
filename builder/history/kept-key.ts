import { digestOf, hexOf } from '../../base/digest.ts';
import type { AssembledImage } from '../../exporter/image.ts';
import { sourcesBelow } from '../../solver/llb/sources.ts';
import type { SolvedBuild } from '../solve-build.ts';

/** `asked` is the first line of the log, without its times. */
export function keyOfKept(
  { targets, facts, context: { request } }: SolvedBuild,
  images: ReadonlyMap<number, AssembledImage>,
  asked: Readonly<Record<string, unknown>>,
): string {
  const sources = [...facts.results.values()].flatMap(({ edge }) =>
    edge ? sourcesBelow(edge) : [],
  );
  const told = [
    asked,
    [...request.frontendOptions],
    request.attest,
    facts.dockerfile.text,
    sources,
    targets.map(({ platform, snapshot }) => [platform, snapshot.layers]),
    [...images].map(([output, { target }]) => [output, target.digest]),
  ];
  return hexOf(digestOf(JSON.stringify(told)));
}
