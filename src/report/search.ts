import type { Gain } from '../artifact/formats.js';
import { counted } from '../data/dataset.js';
import type { Block, Cell, Drawing, Page, Section } from './blocks.js';
import { configuration } from './configuration.js';
import { duration, percent, points } from './format.js';
import type { HeatCell, RankedRow } from './heat-map.js';
import type { Figure } from './html.js';
import { gainText, plusMinus } from './intervals.js';

/** What a cell of a search reached in the last rung in which it can be compared with the others. */
export interface CellScore {
  /** From 0. */
  readonly rung: number;
  /** Mean over the seeds, and half-width of its 95% interval; no interval for one seed. */
  readonly top1: number;
  readonly interval: number | undefined;
  /** What is above the baseline, on the same images with the same seeds and epochs. */
  readonly gain: Gain;
  /** Mean cross-entropy; null when a training diverged. */
  readonly loss: number | null;
  /** Accuracy of each seed that all cells of the rung share. */
  readonly seeds: readonly number[];
}

/** A cell of a search, with its score once there is one. */
export interface SearchedCell {
  readonly policy: string;
  readonly n?: number | undefined;
  readonly m?: number | undefined;
  readonly baseline: boolean;
  readonly score: CellScore | undefined;
}

/** A search to be shown. */
export interface SearchView {
  readonly title: string;
  readonly space: 'grid' | 'policies';
  /** Every cell, the best first, those without a measurement last. */
  readonly cells: readonly SearchedCell[];
  /** Epochs of each rung. */
  readonly rungs: readonly number[];
  /** Rows (N) and columns (M) of a grid. */
  readonly grid?: { readonly n: readonly number[]; readonly m: readonly number[] };
  /** Held-out images that all trainings together were measured on. */
  readonly heldOut: number;
  readonly trainings: { readonly done: number; readonly planned: number };
  readonly seconds: number;
  /** What was found, in a sentence or two. */
  readonly verdict: string;
  /** Trains with the policy that is recommended, to be pasted into a shell; absent for none. */
  readonly command: string | undefined;
  /** run.json */
  readonly config: object;
}

const best = (view: SearchView): SearchedCell | undefined => view.cells.find(({ score }) => score !== undefined);

/** How many seeds cells were compared on: `2 seeds`, `1 to 5 seeds`. */
function seedsOf({ cells }: SearchView): string {
  const counts = cells.flatMap(({ score }) => (score ? [score.seeds.length] : []));
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return `${least === most ? '' : `${least} to `}${counted(most, 'seed')}`;
}

/** Notes under a picture: what intervals and colours mean. */
function notesOf(view: SearchView): string[] {
  const { heldOut, rungs, grid, cells } = view;
  const hasIntervals = cells.some(({ score }) => score?.interval !== undefined);
  return [
    `Accuracy on ${heldOut} held-out images, ${seedsOf(view)}${hasIntervals ? '; \u00b1 is the 95% interval' : ''}.`,
    `${grid ? 'Colour and brackets' : 'In brackets'}: points above basic` +
      `${rungs.length > 1 ? ' after the same number of epochs' : ''}.` +
      (rungs.length > 1 && grid ? ' Dashed: stopped early.' : ''),
  ];
}

/** The picture of a search: a heat map of a grid, a ranking of policies. */
export function searchDrawing(view: SearchView): Drawing {
  const { rungs, cells, grid } = view;
  const full = rungs.at(-1)!;
  const winner = best(view);
  const heat = (cell: SearchedCell | undefined): HeatCell | undefined => {
    if (cell?.score === undefined) return undefined;
    const { top1: mean, interval, gain, rung } = cell.score;
    return {
      mean,
      interval,
      gain: cell.baseline ? undefined : gain.mean,
      best: cell === winner,
      unfinished: rung < rungs.length - 1 ? `rung ${rung + 1}: ${rungs[rung]!} of ${full} ep.` : undefined,
    };
  };
  if (grid) {
    const at = (n: number, m: number): HeatCell | undefined => heat(cells.find((cell) => cell.n === n && cell.m === m));
    const base = cells.find(({ baseline }) => baseline);
    return {
      kind: 'heat map',
      title: 'RandAugment: accuracy by N and M',
      xLabel: 'magnitude M',
      yLabel: 'ops N',
      columns: grid.m.map(String),
      rows: grid.n.map(String),
      cells: grid.n.map((n) => grid.m.map((m) => at(n, m))),
      baseline: base && { name: base.policy, cell: heat(base) },
      notes: notesOf(view),
    };
  }
  const rows = cells.flatMap((cell): RankedRow[] => {
    const shown = heat(cell);
    const rung = cell.score?.rung ?? 0;
    const group =
      rung === rungs.length - 1
        ? `trained in full: ${counted(full, 'epoch')}`
        : `stopped after rung ${rung + 1}: ${rungs[rung]!} of ${counted(full, 'epoch')}`;
    return shown ? [{ ...shown, name: cell.policy, baseline: cell.baseline, group }] : [];
  });
  return { kind: 'ranking', title: 'Policies, best first', rows, notes: notesOf(view) };
}

/** The page of a search: the winner, the picture, every measurement, the command. */
export function searchPage(view: SearchView): Page {
  const { title, rungs, verdict, command, config, grid } = view;
  const training =
    rungs.length === 1
      ? `Every candidate trains for ${counted(rungs[0]!, 'epoch')}.`
      : `Successive halving: every candidate trains for ${counted(rungs[0]!, 'epoch')}, ` +
        `the best of them for ${rungs.slice(1).join(', then ')}, each time from the start with a complete ` +
        'learning-rate schedule. Compare only candidates with the same number of epochs; ' +
        'basic is measured with each.';
  const chosen =
    'The best was chosen on these images, so its accuracy here is too high. Measure it on other images, such as a ' +
    'test split.';
  const some = (wanted: boolean, section: () => Section): Section[] => (wanted ? [section()] : []);
  return {
    title,
    head: [
      { type: 'text', text: verdict },
      { type: 'figures', figures: figuresOf(view) },
    ],
    sections: [
      ...some(command !== undefined, () => ({
        title: 'Train with this policy',
        blocks: [{ type: 'command', command: command! }],
      })),
      ...some(best(view) !== undefined, () => ({
        title: grid ? 'Heat map' : 'Ranking',
        blocks: [{ type: 'drawing', drawing: searchDrawing(view) }],
      })),
      { title: 'All candidates', blocks: [{ type: 'text', text: `${training} ${chosen}` }, candidateTable(view)] },
      configuration(config),
    ],
  };
}

function figuresOf(view: SearchView): Figure[] {
  const { trainings, seconds, rungs } = view;
  const winner = best(view);
  if (winner?.score === undefined) return [];
  const { top1, interval, rung, gain } = winner.score;
  const detail = [plusMinus(interval).trim(), `after ${counted(rungs[rung]!, 'epoch')}`]
    .filter((part) => part !== '')
    .join(', ');
  const figures: Figure[] = [['Best', percent(top1), detail]];
  if (!winner.baseline)
    figures.push(['Above basic', points(gain.mean), `${plusMinus(gain.interval)} points, same epochs`.trim()]);
  const planned = trainings.done < trainings.planned ? `of ${trainings.planned} planned` : 'all that were planned';
  figures.push(['Trainings', String(trainings.done), planned], ['Time', duration(seconds)]);
  return figures;
}

function candidateTable(view: SearchView): Block {
  const { cells, rungs } = view;
  const winner = best(view);
  const row = (cell: SearchedCell): Cell[] => {
    const { policy, baseline, score } = cell;
    const name = cell === winner ? { strong: policy } : policy;
    if (score === undefined) return [name, 'not compared', ...Array.from({ length: 5 }, () => '\u2013')];
    const { rung, top1, interval, gain, loss, seeds } = score;
    return [
      ...[name, `${rung + 1} of ${rungs.length}`, rungs[rung]!, `${percent(top1)}${plusMinus(interval)}`],
      ...[baseline ? '\u2013' : gainText(gain), loss === null ? 'diverged' : loss.toFixed(3)],
      seeds.map(percent).join(', '),
    ];
  };
  return {
    type: 'table',
    columns: [
      { title: 'Policy', kind: 'value' },
      { title: 'Stage' },
      { title: 'Epochs', kind: 'number' },
      { title: 'Accuracy', kind: 'number' },
      { title: 'Above basic', kind: 'number' },
      { title: 'Loss', kind: 'number' },
      { title: 'Seeds' },
    ],
    rows: cells.map(row),
  };
}
