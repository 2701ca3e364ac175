import { bytes } from '../../base/units.ts';
import type { TreemapBox } from '../../images/contents/contents.ts';
import { percentText } from './amounts.ts';
import { button, h, place } from './dom.ts';
import { brief } from './hostile-text.ts';
import { squarified } from './treemap.ts';

/** The height of the map in relation to its width of 100, so that it needs no measures. */
const HEIGHT = 52;

/** The largest directories and files as tiles. A directory is opened by its tile. */
export class TreemapView {
  readonly element = h('div', { class: 'treemap-part' });
  readonly #load: (id: number) => Promise<TreemapBox>;

  constructor(load: (id: number) => Promise<TreemapBox>) {
    this.#load = load;
  }

  async open(id = 0, way: readonly TreemapBox[] = []): Promise<void> {
    const box = await this.#load(id);
    const trail = [...way, box];
    const map = h('div', { class: 'treemap', role: 'group', 'aria-label': 'Largest directories' });
    this.#fill(map, box, 0, (child) => void this.open(child.id, trail));
    this.element.replaceChildren(
      h(
        'p',
        { class: 'trail' },
        trail.map((part, at) =>
          at === trail.length - 1
            ? h('strong', {}, `${brief(part.name || '/', 80)} (${bytes(part.bytes)})`)
            : button(
                brief(part.name || '/', 80),
                () => void this.open(part.id, trail.slice(0, at)),
                {
                  class: 'link',
                },
              ),
        ),
      ),
      map,
    );
  }

  #fill(
    map: HTMLElement,
    { bytes: whole, boxes }: TreemapBox,
    depth: number,
    open: (box: TreemapBox) => void,
  ): void {
    const shown = boxes.filter((box) => box.bytes > whole / 400);
    const rest = whole - shown.reduce((sum, box) => sum + box.bytes, 0);
    const tiles = squarified([...shown.map((box) => box.bytes), Math.max(0, rest)], 100, HEIGHT);
    for (const { index, x, y, width, height } of tiles) {
      const box = shown[index];
      const name = box ? `${brief(box.name, 60)}${box.isDirectory ? '/' : ''}` : 'smaller ones';
      const label = `${name} ${bytes(box?.bytes ?? rest)}`;
      const can = box?.isDirectory && box.boxes.length > 0;
      const tile = h(
        can ? 'button' : 'div',
        {
          class: `tile tone-${(index + depth) % 6}${box ? '' : ' rest'}`,
          title: `${label}, ${percentText(box?.bytes ?? rest, whole)}`,
          ...(can && { type: 'button', onclick: () => open(box) }),
        },
        width * height > 40 && h('span', { class: 'tile-name' }, name),
        width * height > 120 && h('span', { class: 'tile-size' }, bytes(box?.bytes ?? rest)),
      );
      map.append(
        place(tile, {
          left: `${x}%`,
          top: `${(y / HEIGHT) * 100}%`,
          width: `${width}%`,
          height: `${(height / HEIGHT) * 100}%`,
        }),
      );
    }
  }
}
