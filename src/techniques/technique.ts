import type { Sample } from '../data/sample.js';
import type { Value } from '../graph/graph.js';
import { invariant } from '../errors.js';
import type { techniqueRecipes } from '../options/recipes.js';
import type { Settings, TechniqueName } from '../options/training.js';
import type { Objective, ObjectiveContext, ObjectiveResult, PassOptions } from '../train/objective.js';
import type { Observer } from '../train/runner.js';

/**
 * What is learned, as plain data and a loss: a technique is one file and one entry in index.ts.
 * What a run does with a row (open the images, make the batches, refuse an option that nothing
 * reads, estimate the time) follows from it.
 */
export interface Technique<
  Name extends string = string,
  ViewName extends string = string,
  Option extends OptionName = OptionName,
> {
  readonly name: Name;
  /** In one line, for help and plans. */
  readonly says: string;
  /** The paper: authors, year, title. */
  readonly source: string;
  readonly needs: Needs;
  /**
   * The options that it reads, of those that not every technique reads: others are refused. The
   * loss is handed these. Their defaults stand under the name of the technique in
   * `options/recipes.ts`.
   */
  readonly options: readonly Option[];
  /** The images of a batch, in this order. */
  readonly views: readonly View<ViewName>[];
  /** The loss of a batch, what is reported beside it and what the observer sees. */
  loss(context: LossContext<ViewName>, options: Pick<TechniqueOptions, Option>): ObjectiveResult;
  /** What it does on the host between the steps. */
  observer?(context: ObserverContext, options: Pick<TechniqueOptions, Option>): Observer;
}

/** What a technique learns from. */
export interface Needs {
  /** Labelled images; optional: it can do without any. */
  readonly labels: true | 'optional';
  /** Images without labels; optional: it learns from them where there are some. */
  readonly unlabelled: boolean | 'optional';
  /** Trained networks (the option `teachers`), whose logits the loss is told. */
  readonly teacher?: true;
  /** A file of pseudo-labels (the option `pseudoLabels`). */
  readonly pseudoLabels?: true;
  /** A head alone can be solved for this loss: mode `probe`. */
  readonly probe?: true;
}

/** Some of the images of every batch, varied in one way. */
export interface View<Name extends string = string> {
  /** What the loss calls it. Views of the same images show the same ones, in the same order. */
  readonly name: Name;
  /**
   * `labelled`; `unlabelled`: every image, labelled ones too, its label hidden; `all`: every image,
   * with its label where it has one; `pseudo-labelled`: those in the file of pseudo-labels.
   */
  readonly images: 'labelled' | 'unlabelled' | 'all' | 'pseudo-labelled';
  /**
   * How they are varied: by all the options for labelled images (`augment`, `cutmix`, `erase`...),
   * by the fixed policy `weak`, or by the policy of the option `strong`.
   */
  readonly augment: 'augment' | 'weak' | 'strong';
  /** Images of this view for each labelled image of a batch: one, or as many as the option says. */
  readonly perLabelled: 1 | 'unlabelledRatio';
  /** Whether the loss is told labels of these images. */
  readonly targets?: true;
  /**
   * What one of its images costs, in training steps of one image: 1 by default; one that is only
   * looked at takes a third.
   */
  readonly cost?: number | ((options: Partial<TechniqueOptions>) => number);
}

/** What the loss of a technique is written with; see `ObjectiveContext`. */
export interface LossContext<ViewName extends string = string> extends Pick<
  ObjectiveContext,
  'math' | 'classes' | 'input' | 'scalar' | 'uniform' | 'detach' | 'memory' | 'remember' | 'ranks' | 'meanOverRanks'
> {
  /** Logits [count, classes] of views, which go through the network together, in one pass. */
  forward<Name extends ViewName>(views: readonly Name[], pass?: PassOptions): Readonly<Record<Name, Value>>;
  /** Labels of a view as probabilities [count, classes]; zeros where an image has none. */
  targets(view: ViewName): Value;
  /** The teacher's logits of the first view, [count, classes]. */
  teacher(): Value;
}

/** What an observer follows the predictions with. */
export interface ObserverContext {
  readonly classes: readonly string[];
  /** The images to learn from, and which of them are shown without their labels. */
  readonly samples: readonly Sample[];
  readonly unlabelled: readonly number[];
}

type KeyOf<T> = T extends unknown ? keyof T : never;
type ValueOf<T> = T extends unknown ? T[keyof T] : never;
/** Options that some recipe sets: where they are read they have a value. */
type InRecipes = KeyOf<ValueOf<(typeof techniqueRecipes)[TechniqueName]>>;

/** The options of a run as the techniques that read them find them. */
export type TechniqueOptions = {
  readonly [Name in keyof Settings]-?: Name extends InRecipes ? NonNullable<Settings[Name]> : Settings[Name];
};

export type OptionName = keyof TechniqueOptions;

/** How much of a running average stays: a number, or by how long the training is. */
export type RunningDecay = TechniqueOptions['runningDecay'];

/** A row of the table, its names and options inferred. */
export const technique = <const Name extends string, const ViewName extends string, const Option extends OptionName>(
  row: Technique<Name, ViewName, Option>,
): Technique<Name, ViewName, Option> => row;

/** The options that a technique reads, out of a run's. */
export const optionsOf = <Option extends OptionName>(
  { options }: Technique<string, string, Option>,
  settings: Partial<TechniqueOptions>,
): Pick<TechniqueOptions, Option> =>
  Object.fromEntries(options.map((option) => [option, settings[option]])) as Pick<TechniqueOptions, Option>;

/** Images of a view in a batch. */
export const countOf = ({ perLabelled }: View, batchSize: number, ratio: number): number =>
  batchSize * (perLabelled === 1 ? 1 : ratio);

/**
 * The objective of a technique. Inputs: `pixels` uint8 [sum of the views' counts, H, W, 3];
 * `targets` float32 [counts of the views with targets, classes]; `teacher` float32 [count,
 * classes].
 */
export const objectiveOf =
  (row: Technique, settings: Partial<TechniqueOptions>): Objective =>
  (context) => {
    const { math: m, batchSize, classes, size, input } = context;
    const options = optionsOf(row, settings);
    const ratio = settings.unlabelledRatio ?? 1;
    const { total, rowsOf } = layout(row.views, batchSize, ratio);
    const withTargets = layout(
      row.views.filter(({ targets }) => targets),
      batchSize,
      ratio,
    );
    const pixels = input('pixels', 'uint8', [total, ...size, 3]);
    const targets = input('targets', 'float32', [withTargets.total, classes]);
    const teacher = row.needs.teacher && input('teacher', 'float32', [total, classes]);
    const part = (x: Value, { from, count }: Rows): Value => (count === x.shape[0] ? x : m.rows(x, from, count));
    return row.loss(
      {
        ...context,
        memory: (name, initial) => context.memory(`${row.name}:${name}`, initial),
        remember: (name, value) => context.remember(`${row.name}:${name}`, value),
        targets: (view) => part(targets, withTargets.rowsOf(view)),
        teacher() {
          invariant(teacher, `${row.name} has no teacher`);
          return teacher;
        },
        forward(views, pass) {
          const pieces = joined(views.map(rowsOf)).map((rows) => part(pixels, rows));
          const blocks = views.map((view) => rowsOf(view).count);
          const logits = context.forward(pieces.length === 1 ? pieces[0]! : m.concat(pieces), { ...pass, blocks });
          const found = layout(
            views.map((view) => row.views.find(({ name }) => name === view)!),
            batchSize,
            ratio,
          );
          return Object.fromEntries(views.map((view) => [view, part(logits, found.rowsOf(view))])) as Record<
            (typeof views)[number],
            Value
          >;
        },
      },
      options,
    );
  };

interface Rows {
  readonly from: number;
  readonly count: number;
}

/** Rows that follow one another as one piece. */
function joined(rows: readonly Rows[]): Rows[] {
  const pieces: Rows[] = [];
  for (const { from, count } of rows) {
    const last = pieces.at(-1);
    if (last && last.from + last.count === from) pieces.splice(-1, 1, { from: last.from, count: last.count + count });
    else pieces.push({ from, count });
  }
  return pieces;
}

/** Where views stand that are put one after another. */
function layout(
  views: readonly View[],
  batchSize: number,
  ratio: number,
): { readonly total: number; rowsOf(view: string): Rows } {
  const rows = new Map<string, Rows>();
  let total = 0;
  for (const view of views) {
    const count = countOf(view, batchSize, ratio);
    rows.set(view.name, { from: total, count });
    total += count;
  }
  return {
    total,
    rowsOf(view) {
      const found = rows.get(view);
      invariant(found, `no view ${view}`);
      return found;
    },
  };
}

/**
 * What an epoch of a technique costs, in training steps of one image: once through the view that
 * has most to show, the others beside it.
 */
export function costOf(
  { views }: Technique,
  images: { readonly labelled: number; readonly unlabelled: number },
  { batchSize, ...options }: Omit<Partial<TechniqueOptions>, 'batchSize'> & { readonly batchSize: number },
): number {
  const { unlabelledRatio = 1 } = options;
  const costOfView = ({ cost = 1 }: View): number => (typeof cost === 'number' ? cost : cost(options));
  const everything = images.labelled + images.unlabelled;
  const sizes = {
    'labelled': images.labelled,
    'unlabelled': everything,
    'all': everything,
    'pseudo-labelled': images.unlabelled,
  };
  const steps = views.map((view) => sizes[view.images] / countOf(view, batchSize, unlabelledRatio));
  const step = views.reduce((sum, view) => sum + countOf(view, batchSize, unlabelledRatio) * costOfView(view), 0);
  return Math.max(...steps) * step;
}
