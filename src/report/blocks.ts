/**
 * What a page shows, as data that JSON can hold: sections of blocks. `render.ts` makes HTML of them; others may show
 * the same in another way.
 */
import type { ChartOptions, HistogramOptions, HistogramSeries, Series } from './charts.js';
import type { ReliabilityBin } from './evaluation.js';
import type { Comparison } from './comparison.js';
import type { HeatMapOptions, RankingOptions } from './heat-map.js';
import type { Figure } from './html.js';
import type { Picture } from './photo.js';
import type { PanelsOptions } from './scatter.js';

export interface Section {
  /** Absent: it goes on below the one before. */
  readonly title?: string | undefined;
  readonly blocks: readonly Block[];
}

/** A part of a text: as it is, or what stands out. */
export type Words = string | { readonly strong: string };

/** A page of its own: what stands at its head, and its sections. */
export interface Page {
  readonly title: string;
  readonly head: readonly Block[];
  readonly sections: readonly Section[];
}

/** Two bars from the left, one in front of the other, and a mark: as shares of the longest. */
export interface Bars {
  readonly behind: number;
  readonly front: number;
  readonly mark?: number | undefined;
}

/** Shares in [0, 1] as a row of tints; null: not known. */
export type Tints = readonly (number | null)[];

/**
 * A cell of a table: text, a number, what stands out, text with a smaller line below, bars, or a share in [0, 1] that
 * is drawn as a bar; null: nothing was measured.
 */
export type Cell =
  | Words
  | number
  | { readonly text: string; readonly detail: string }
  | { readonly bars: Bars }
  | { readonly share: number | null };

/** What a colour stands for; usually that of a line. */
export interface LegendItem {
  readonly name: string;
  readonly colour: string;
  readonly shape?: 'line' | 'dashed' | 'rule' | undefined;
}

/** Lines over epochs or rounds, or bars by confidence. */
export type Chart =
  | {
      readonly title: string;
      readonly series: readonly Series[];
      readonly options?: Partial<ChartOptions>;
    }
  | {
      readonly title: string;
      readonly histogram: readonly HistogramSeries[];
      readonly options: HistogramOptions;
    };

/** Images of one cell of a confusion matrix. */
export interface CellImages {
  /** Indexes of classes. */
  readonly truth: number;
  readonly predicted: number;
  readonly count: number;
  readonly paths: readonly string[];
  /** Shown only where it is asked for. */
  readonly hidden: boolean;
}

/** An image with what a model says of it. */
export interface Judged {
  readonly path: string;
  readonly predicted: string;
  readonly confidence: number;
  readonly label: string;
  /** Its picture with what spoke for the prediction, among the pictures of the page. */
  readonly explained?: string | undefined;
}

/** A picture that is drawn of data. */
export type Drawing =
  | ({ readonly kind: 'panels' } & PanelsOptions)
  | ({ readonly kind: 'heat map' } & HeatMapOptions)
  | ({ readonly kind: 'ranking' } & RankingOptions);

export type Block =
  | { readonly type: 'heading'; readonly text: string }
  | { readonly type: 'text'; readonly text: string | readonly Words[]; readonly isNote?: boolean }
  | { readonly type: 'figures'; readonly figures: readonly Figure[] }
  | { readonly type: 'charts'; readonly charts: readonly Chart[] }
  /** Small line charts that share one legend. */
  | {
      readonly type: 'multiples';
      readonly charts: readonly {
        readonly title: string;
        readonly series: readonly Series[];
        readonly caption: string;
      }[];
      readonly options?: Partial<ChartOptions>;
      readonly note: string;
    }
  /** Many things with a line each: a name, what is drawn, a number; `title` says all of it. */
  | {
      readonly type: 'strips';
      readonly legend?: readonly LegendItem[];
      readonly rows: readonly {
        readonly name: string;
        readonly title: string;
        readonly drawn: Bars | Tints;
        readonly number: string;
      }[];
      readonly notes: readonly string[];
    }
  | { readonly type: 'reliability'; readonly bins: readonly ReliabilityBin[]; readonly note: string }
  | {
      readonly type: 'table';
      readonly columns: readonly { readonly title: string; readonly kind?: 'value' | 'number' }[];
      readonly rows: readonly (readonly Cell[])[];
      /** Indexes of rows that only help to read the others. */
      readonly aside?: readonly number[];
      readonly legend?: readonly LegendItem[];
      readonly note?: string | undefined;
    }
  | ({ readonly type: 'comparison' } & Comparison)
  | { readonly type: 'drawing'; readonly drawing: Drawing }
  /** Images with what stands below each. */
  | {
      readonly type: 'photos';
      readonly images: readonly { readonly path: string; readonly lines: readonly Words[] }[];
    }
  /** Images of classes. */
  | {
      readonly type: 'groups';
      readonly groups: readonly { readonly name: string; readonly paths: readonly string[] }[];
    }
  | {
      readonly type: 'matrix';
      readonly classes: readonly string[];
      readonly confusion: readonly (readonly number[])[];
      /** Cells whose images are on the page. */
      readonly linked: readonly Pick<CellImages, 'truth' | 'predicted'>[];
    }
  | { readonly type: 'cells'; readonly classes: readonly string[]; readonly cells: readonly CellImages[] }
  | { readonly type: 'judged'; readonly images: readonly Judged[] }
  | { readonly type: 'lists'; readonly lists: readonly { readonly title: string; readonly lines: readonly string[] }[] }
  | {
      readonly type: 'facts';
      readonly groups: readonly { readonly name: string; readonly rows: readonly (readonly [string, string])[] }[];
    }
  | { readonly type: 'command'; readonly command: string }
  | { readonly type: 'picture'; readonly picture: Picture; readonly alt: string }
  /** Shown only where it is opened. */
  | { readonly type: 'folded'; readonly title: string; readonly blocks: readonly Block[] }
  /** Images of files that may be gone; where none is left, `instead` is said. */
  | { readonly type: 'pictured'; readonly blocks: readonly Block[]; readonly instead: string };

export type BlockOf<Type extends Block['type']> = Extract<Block, { readonly type: Type }>;

/** Paths of the images that blocks show, in their order. */
export const imagesOf = (blocks: readonly Block[]): string[] =>
  blocks.flatMap((block) => {
    switch (block.type) {
      case 'photos':
      case 'judged':
        return block.images.map(({ path }) => path);
      case 'cells':
        return block.cells.flatMap(({ paths }) => paths);
      case 'groups':
        return block.groups.flatMap(({ paths }) => paths);
      case 'folded':
      case 'pictured':
        return imagesOf(block.blocks);
      default:
        return [];
    }
  });
