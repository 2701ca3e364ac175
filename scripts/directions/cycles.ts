import type { Source } from './sources.ts';

/**
 * Returns the cycles of imports, including imports of types. No file of a cycle can be understood,
 * tested or moved without the others.
 */
export function importCycles(sources: readonly Source[]): string[] {
  const graph = new Map(sources.map(({ file, imports }) => [file, imports]));
  return components(graph)
    .filter((files) => files.length > 1 || graph.get(files[0]!)!.includes(files[0]!))
    .map((files) => `a cycle of imports: ${cycleIn(files, graph).join(' → ')}`);
}

type Graph = ReadonlyMap<string, readonly string[]>;

/** Returns the strongly connected components, by Tarjan's algorithm. */
function components(graph: Graph): string[][] {
  const found: string[][] = [];
  const index = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const visit = (file: string): number => {
    const own = index.size;
    index.set(file, own);
    lowest.set(file, own);
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!graph.has(next)) continue;
      const reached = index.has(next)
        ? stack.includes(next)
          ? index.get(next)!
          : own
        : visit(next);
      lowest.set(file, Math.min(lowest.get(file)!, reached));
    }
    if (lowest.get(file) === own) found.push(stack.splice(stack.lastIndexOf(file)));
    return lowest.get(file)!;
  };
  for (const file of graph.keys()) if (!index.has(file)) visit(file);
  return found;
}

/** Returns a shortest path from the first file back to itself. */
function cycleIn(files: readonly string[], graph: Graph): string[] {
  const [first = ''] = files;
  const inside = new Set(files);
  const paths: string[][] = [[first]];
  const seen = new Set<string>();
  for (let path = paths.shift(); path; path = paths.shift()) {
    for (const next of graph.get(path.at(-1)!) ?? []) {
      if (next === first) return [...path, first];
      if (!inside.has(next) || seen.has(next)) continue;
      seen.add(next);
      paths.push([...path, next]);
    }
  }
  return [first];
}
