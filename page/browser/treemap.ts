/** A rectangle with the index of what it stands for. */
export interface TreemapTile {
  readonly index: number;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/**
 * Fills a rectangle with one tile for each size, as near to squares as it can be (Bruls, Huizing,
 * van Wijk: Squarified Treemaps, 2000). The sizes are in descending order. Sizes of 0 get no tile.
 */
export function squarified(sizes: readonly number[], width: number, height: number): TreemapTile[] {
  const whole = sizes.reduce((sum, size) => sum + size, 0);
  if (whole <= 0 || width <= 0 || height <= 0) return [];
  const scale = (width * height) / whole;
  const tiles: TreemapTile[] = [];
  let [x, y, w, h] = [0, 0, width, height];
  for (let at = 0; at < sizes.length && sizes[at]! > 0; ) {
    const side = Math.min(w, h);
    let area = 0;
    let end = at;
    let worst = Number.POSITIVE_INFINITY;
    while (end < sizes.length && sizes[end]! > 0) {
      const next = area + sizes[end]! * scale;
      const ratio = worstRatio(sizes[at]! * scale, sizes[end]! * scale, next, side);
      if (ratio > worst) break;
      [worst, area] = [ratio, next];
      end++;
    }
    const thickness = area / side;
    let along = 0;
    for (let index = at; index < end; index++) {
      const length = (sizes[index]! * scale) / thickness;
      tiles.push(
        w >= h
          ? { index, x, y: y + along, width: thickness, height: length }
          : { index, x: x + along, y, width: length, height: thickness },
      );
      along += length;
    }
    if (w >= h) [x, w] = [x + thickness, Math.max(0, w - thickness)];
    else [y, h] = [y + thickness, Math.max(0, h - thickness)];
    at = end;
  }
  return tiles;
}

/** The worst ratio of sides in a row whose largest and smallest areas are known. */
function worstRatio(largest: number, smallest: number, area: number, side: number): number {
  const square = area * area;
  return Math.max((side * side * largest) / square, square / (side * side * smallest));
}
