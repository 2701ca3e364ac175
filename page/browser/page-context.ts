import type { BuildView } from '../../history/build-view.ts';
import type { PageData } from './page-data.ts';
import type { PagePlace, TabName } from './page-place.ts';

/** What the parts of the page of one build share. */
export interface BuildContextOfPage {
  readonly data: PageData;
  /** The newest view of the build. */
  readonly view: () => BuildView;
  /** Shows another place, and keeps it in the address. */
  readonly go: (to: PagePlace) => void;
  /** Shows a step in a tab. */
  readonly show: (tab: TabName, step?: number, line?: number) => void;
  /** Shows what is known of a step, beside the tab. */
  readonly select: (step: number | undefined) => void;
}

/** A part of the page that shows a build in one way. */
export interface BuildTab {
  readonly element: HTMLElement;
  /** The build has changed. */
  update(): void;
  /** Shows a step, or a line of its log. */
  reveal(step: number | undefined, line: number | undefined): void;
  /** The tab is seen again. */
  shown?(): void;
}
