import { visible } from './hostile-text.ts';

/**
 * Makes elements. Texts of a build become text nodes and values of attributes here, and nowhere
 * markup: no file of the page uses `innerHTML` or makes a script. Characters that nobody sees are
 * written out (`visible`).
 */
type Child = Node | string | number | undefined | false | readonly Child[];

type Attributes = Readonly<
  Record<string, string | number | boolean | undefined | ((event: never) => void)>
>;

/**
 * Makes an element. Attributes that begin with `on` are listeners; `true` is an attribute without a
 * value; `false` and `undefined` are none.
 */
export function h<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  setAttributes(element, attributes);
  append(element, children);
  return element;
}

/** As `h`, for SVG. */
export function svg<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Name] {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  setAttributes(element, attributes);
  append(element, children);
  return element;
}

function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function')
      element.addEventListener(name.slice(2), value as (event: Event) => void);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== undefined && value !== false)
      element.setAttribute(name, SEEN.has(name) ? visible(String(value)) : String(value));
  }
}

function append(element: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (child === undefined || child === false) continue;
    if (typeof child === 'string' || typeof child === 'number')
      element.append(visible(String(child)));
    else if (child instanceof Node) element.append(child);
    else append(element, child);
  }
}

/** Attributes whose text people see or hear. */
const SEEN: ReadonlySet<string> = new Set(['title', 'aria-label', 'placeholder']);

/** Sets the place of an element. The policy of the page allows no style in markup, but this. */
export function place(element: HTMLElement, styles: Readonly<Record<string, string>>): HTMLElement {
  for (const [name, value] of Object.entries(styles)) element.style.setProperty(name, value);
  return element;
}

/** A button of the page. */
export function button(label: string, press: () => void, attributes: Attributes = {}) {
  return h('button', { type: 'button', onclick: press, ...attributes }, label);
}
