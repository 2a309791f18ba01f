import { meanInterval } from '../evaluate/metrics.js';
import { duration, percent, points } from './format.js';
import { heatMap, rankedChart, type HeatCell, type RankedRow } from './heat-map.js';
import { type Figure, figureList, type Html, html, trusted } from './html.js';
import { configuration, document } from './page.js';

/** What one rung of a search gave for a cell. */
export interface RungScore {
  /** From 0. */
  readonly rung: number;
  /** Accuracy of each seed that was measured. */
  readonly top1: readonly number[];
  /** Mean cross-entropy; null when a training diverged. */
  readonly loss: number | null;
}

/** A cell of a search with what was measured of it, rung by rung. */
export interface SearchedCell {
  readonly policy: string;
  readonly n?: number | undefined;
  readonly m?: number | undefined;
  readonly baseline: boolean;
  readonly scores: readonly RungScore[];
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
  readonly seeds: number;
  /** Held-out images that each training was measured on. */
  readonly heldOut: number;
  readonly trainings: { readonly done: number; readonly planned: number };
  readonly seconds: number;
  /** To be pasted into a shell. */
  readonly command: string | undefined;
  /** run.json */
  readonly config: object;
}

/** A cell's mean accuracy in its last rung. */
export interface CellSummary {
  readonly rung: number;
  readonly epochs: number;
  readonly top1: number;
  /**
   * Half-width of the 95% interval of the mean over seeds (Student's t); with one seed, that of a
   * share over the held-out images (normal approximation), which leaves out how much trainings
   * differ.
   */
  readonly interval: number;
  /** Accuracy above the baseline's in the same rung; absent where that was not measured. */
  readonly gain?: number | undefined;
}

/** Where a cell stands among the others; undefined when nothing was measured. */
export function summarise(
  cell: SearchedCell,
  { cells, rungs, heldOut }: Pick<SearchView, 'cells' | 'rungs' | 'heldOut'>,
): CellSummary | undefined {
  const score = cell.scores.at(-1);
  if (score === undefined) return undefined;
  const { mean, interval } = meanInterval(score.top1);
  const base = cells.find(({ baseline }) => baseline)?.scores.find(({ rung }) => rung === score.rung);
  return {
    rung: score.rung,
    epochs: rungs[score.rung]!,
    top1: mean,
    interval: score.top1.length > 1 ? interval : 1.96 * Math.sqrt((mean * (1 - mean)) / heldOut),
    gain: base && mean - meanInterval(base.top1).mean,
  };
}

const best = (view: SearchView): SearchedCell | undefined => view.cells.find(({ scores }) => scores.length > 0);

/** Notes under a picture: what intervals and colours mean. */
function notesOf({ seeds, heldOut, rungs, grid }: SearchView): string[] {
  return [
    `Accuracy on ${heldOut} held-out images; \u00b1 is the 95% interval ` +
      `${seeds > 1 ? `of the mean over ${seeds} seeds` : 'of a proportion of that many images (one seed)'}.`,
    `${grid ? 'Colour and brackets' : 'In brackets'}: points above basic` +
      `${rungs.length > 1 ? ' after the same number of epochs' : ''}.` +
      (rungs.length > 1 && grid ? ' Dashed: stopped early.' : ''),
  ];
}

/** The picture of a search: a heat map of a grid, a ranking of policies. SVG. */
export function searchPicture(view: SearchView): string {
  const { rungs, cells, grid } = view;
  const full = rungs.at(-1)!;
  const winner = best(view);
  const heat = (cell: SearchedCell | undefined): HeatCell | undefined => {
    const summary = cell && summarise(cell, view);
    if (cell === undefined || summary === undefined) return undefined;
    const { top1: mean, interval, gain, rung, epochs } = summary;
    return {
      mean,
      interval,
      gain: cell.baseline ? undefined : gain,
      best: cell === winner,
      unfinished: rung < rungs.length - 1 ? `rung ${rung + 1}: ${epochs} of ${full} ep.` : undefined,
    };
  };
  if (grid) {
    const at = (n: number, m: number): HeatCell | undefined => heat(cells.find((cell) => cell.n === n && cell.m === m));
    const base = cells.find(({ baseline }) => baseline);
    return heatMap({
      title: 'RandAugment: accuracy by N and M',
      xLabel: 'magnitude M',
      yLabel: 'ops N',
      columns: grid.m.map(String),
      rows: grid.n.map(String),
      cells: grid.n.map((n) => grid.m.map((m) => at(n, m))),
      baseline: base && { name: base.policy, cell: heat(base) },
      notes: notesOf(view),
    });
  }
  const rows = cells.flatMap((cell): RankedRow[] => {
    const shown = heat(cell);
    const { rung } = cell.scores.at(-1) ?? { rung: 0 };
    const group =
      rung === rungs.length - 1
        ? `trained in full: ${full} epochs`
        : `stopped after rung ${rung + 1}: ${rungs[rung]!} of ${full} epochs`;
    return shown ? [{ ...shown, name: cell.policy, baseline: cell.baseline, group }] : [];
  });
  return rankedChart({ title: 'Policies, best first', rows, notes: notesOf(view) });
}

/** The page of a search: the winner, the picture, every measurement, the command. */
export function searchPage(view: SearchView): Html {
  const { title, rungs, command, config } = view;
  const winner = best(view);
  const found =
    winner === undefined
      ? 'Nothing was measured yet.'
      : winner.baseline
        ? 'No policy did better than basic augmentation on the held-out images.'
        : html`The best policy on the held-out images: <b>${winner.policy}</b>`;
  const training =
    rungs.length === 1
      ? `Every candidate trains for ${rungs[0]!} epochs.`
      : `Successive halving: every candidate trains for ${rungs[0]!} epochs, ` +
        `the best of them for ${rungs.slice(1).join(', then ')}, each time from the start with a complete ` +
        'learning-rate schedule. Compare only candidates with the same number of epochs; ' +
        'basic is measured with each.';
  return document(
    title,
    html`<header>
        <h1>${title}</h1>
        <p class="lead">${found}</p>
        ${figureList(figuresOf(view))}
      </header>
      ${
        command === undefined
          ? ''
          : html`<h2>Train with this policy</h2>
              <pre class="card" style="white-space:pre-wrap;overflow-wrap:anywhere">${command}</pre>`
      }
      ${
        winner === undefined
          ? ''
          : html`<h2>${view.grid ? 'Heat map' : 'Ranking'}</h2>
              <figure class="card scroll">${trusted(searchPicture(view))}</figure>`
      }
      <h2>All candidates</h2>
      <p class="lead">
        ${training} The best was chosen on these images, so its accuracy here is too high. Measure it on other images,
        such as a test split.
      </p>
      ${candidateTable(view)} ${configuration(config)}`,
  );
}

function figuresOf(view: SearchView): Figure[] {
  const { trainings, seconds } = view;
  const winner = best(view);
  const summary = winner && summarise(winner, view);
  if (winner === undefined || summary === undefined) return [];
  const { top1, interval, epochs, gain } = summary;
  const figures: Figure[] = [['Best', percent(top1), `\u00b1 ${(100 * interval).toFixed(1)}, after ${epochs} epochs`]];
  if (gain !== undefined && !winner.baseline) figures.push(['Above basic', points(gain), 'points, same epochs']);
  const planned = trainings.done < trainings.planned ? `of ${trainings.planned} planned` : 'all that were planned';
  figures.push(['Trainings', String(trainings.done), planned], ['Time', duration(seconds)]);
  return figures;
}

function candidateTable(view: SearchView): Html {
  const { cells, rungs } = view;
  const winner = best(view);
  return html`<div class="card scroll">
    <table class="rows">
      <thead>
        <tr>
          <th>Policy</th>
          <th>Stage</th>
          <th class="number">Epochs</th>
          <th class="number">Accuracy</th>
          <th class="number">Above basic</th>
          <th class="number">Loss</th>
          <th>Seeds</th>
        </tr>
      </thead>
      <tbody>
        ${cells.map((cell) => {
          const row = summarise(cell, view);
          const score = cell.scores.at(-1);
          if (row === undefined || score === undefined)
            return html`<tr>
              <td class="value">${cell.policy}</td>
              <td colspan="6">not measured</td>
            </tr>`;
          return html`<tr>
            <td class="value">${cell === winner ? html`<b>${cell.policy}</b>` : cell.policy}</td>
            <td>${row.rung + 1} of ${rungs.length}</td>
            <td class="number">${row.epochs}</td>
            <td class="number">${percent(row.top1)} ± ${(100 * row.interval).toFixed(1)}</td>
            <td class="number">${row.gain === undefined || cell.baseline ? '\u2013' : points(row.gain)}</td>
            <td class="number">${score.loss === null ? 'diverged' : score.loss.toFixed(3)}</td>
            <td>${score.top1.map(percent).join(', ')}</td>
          </tr>`;
        })}
      </tbody>
    </table>
  </div>`;
}
