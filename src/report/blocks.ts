/**
 * What a page shows, as data: sections of blocks. `render.ts` makes HTML of them; others may show the same in
 * another way.
 */
import type { ChartOptions, Series } from './charts.js';
import type { ReliabilityBin } from './evaluation.js';
import type { Comparison } from './comparison.js';
import type { HeatMapOptions, RankingOptions } from './heat-map.js';
import type { Figure, Html } from './html.js';
import type { Picture, Pictures } from './photo.js';
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

/**
 * A cell of a table: text, a number, what stands out, or a share in [0, 1] that is drawn as a bar; null: nothing was
 * measured.
 */
export type Cell = Words | number | { readonly share: number | null };

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
  | { readonly type: 'text'; readonly text: string | readonly Words[]; readonly isNote?: boolean }
  | { readonly type: 'figures'; readonly figures: readonly Figure[] }
  | {
      readonly type: 'charts';
      readonly charts: readonly {
        readonly title: string;
        readonly series: readonly Series[];
        readonly options?: Partial<ChartOptions>;
      }[];
    }
  | { readonly type: 'reliability'; readonly bins: readonly ReliabilityBin[]; readonly note: string }
  | {
      readonly type: 'table';
      readonly columns: readonly { readonly title: string; readonly kind?: 'value' | 'number' }[];
      readonly rows: readonly (readonly Cell[])[];
      /** Indexes of rows that only help to read the others. */
      readonly aside?: readonly number[];
      readonly note?: string;
    }
  | ({ readonly type: 'comparison' } & Comparison)
  | { readonly type: 'drawing'; readonly drawing: Drawing }
  /** Images with a number each. */
  | { readonly type: 'scored'; readonly images: readonly { readonly path: string; readonly score: string }[] }
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
  | { readonly type: 'html'; readonly body: (pictures: Pictures) => Html };

export type BlockOf<Type extends Block['type']> = Extract<Block, { readonly type: Type }>;
