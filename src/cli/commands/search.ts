import type { CellResult, SearchResult } from '../../jobs/search/outcome.js';
import type { SearchEvent } from '../../jobs/search/search.js';
import type { SearchShardResult } from '../../jobs/shards/search.js';
import { searchOptions, type SearchOptions } from '../../options/jobs.js';
import { shardOptions, type ShardChoice } from '../../options/shards.js';
import { duration, points } from '../../report/format.js';
import { command, dataArgument, requireData } from '../command.js';
import type { Progress } from '../progress.js';
import { conclude } from '../result.js';
import { refuseOthers } from '../shard.js';
import { count, facts, percent, plusMinus, printable, runFacts, table } from '../table.js';
import type { Terminal } from '../terminal.js';
import { createView, followAlone, followRun } from '../training-progress.js';

export const search = command('search', 'Find the augmentation that helps most on held-out images.', {
  arguments: { '[data]': dataArgument },
  options: { ...searchOptions, ...shardOptions },
  examples: [
    'pupil search photos --model mobilenetv2.onnx --normalize symmetric',
    'pupil search cifar10.tar --labels-per-class 400 --mode scratch --model resnet8 --epochs 27 --n 1,2,3 --m 3,9,15',
    'pupil search photos --space policies --candidates 32 --minutes 60',
    'pupil search --resume runs/search-1',
    'pupil search photos --shard auto --out parts   in a Slurm array',
    'pupil search --merge parts --out runs/search-1',
  ],
  async run({ data }, { json, shard, ...options }, terminal) {
    if (shard !== undefined) return trainShard(data, shard, options, { json, terminal });
    requireData('search', data, options.resume);
    const { search: start } = await import('../../jobs/search/search.js');
    const result = await followRun(
      'search',
      (signal) => start(data, { ...options, signal }),
      terminal,
      createSearchView,
    );
    conclude(result, () => summary(result), json, terminal);
  },
  async merge(folder, { json, out, ...others }, terminal) {
    refuseOthers(others);
    const { mergeSearch } = await import('../../jobs/shards/search.js');
    const result = await followAlone((signal) => mergeSearch(folder, { out, signal }), terminal, createSearchView);
    conclude(result, () => summary(result), json, terminal);
  },
});

/** Does one shard's share of a search, as far as the others have come. */
async function trainShard(
  data: string | undefined,
  shard: ShardChoice,
  options: SearchOptions,
  { json, terminal }: { readonly json: boolean | undefined; readonly terminal: Terminal },
): Promise<void> {
  requireData('search', data, undefined);
  const { searchShard } = await import('../../jobs/shards/search.js');
  const result = await followAlone(
    (signal) => searchShard(data!, shard, { ...options, signal }),
    terminal,
    createSearchView,
  );
  conclude(result, () => shardSummary(result), json, terminal);
}

const shardSummary = ({
  shard,
  folder,
  trained,
  done,
  planned,
  waitsFor,
  stages,
  seconds,
}: SearchShardResult): string =>
  facts([
    ['shard', `${shard.index} of ${shard.count}`],
    ['trainings', `${count(trained)} now, ${count(done)} of ${count(planned)} with those of all shards`],
    ['next', nextOf(waitsFor, stages, `pupil search --merge ${printable(folder)}`)],
    ['time', duration(seconds)],
  ]);

/**
 * A function that shows one event after the other: one bar over the steps of all trainings, a line
 * for each that ended.
 */
export function createSearchView(progress: Progress): (event: SearchEvent) => void {
  const view = createView(progress);
  let cell: Extract<SearchEvent, { type: 'cell' }> | undefined;
  let perEpoch = 0,
    shown = false;
  const place = (rung: number, rungs: number): string => (rungs > 1 ? `rung ${rung}/${rungs}, ` : '');
  return (event) => {
    if (event.type === 'cell') {
      cell = event;
      return;
    }
    if (event.type === 'cell-done') {
      const { policy, rung, rungs, seed, done, planned, top1, loss, seconds } = event;
      const outcome = loss === null ? 'diverged' : `${percent(top1)}, loss ${loss.toFixed(3)}`;
      const what = `${place(rung, rungs)}${policy}, seed ${seed}`;
      progress.note(`${done}/${planned}  ${what}: ${outcome}, ${duration(seconds)}`);
      return;
    }
    if (event.type === 'halving') {
      const { rung, rungs, kept, dropped } = event;
      const on = `${kept.join(', ')} ${kept.length === 1 ? 'goes' : 'go'} on`;
      progress.note(`rung ${rung} of ${rungs} is done: ${on}, ${dropped} stopped early`);
      return;
    }
    if (cell === undefined || event.type === 'warning' || event.type === 'note') {
      view(event);
      return;
    }
    // Within a training: its steps are a part of all.
    if (event.type === 'start') {
      perEpoch = event.stepsPerEpoch;
      if (!shown)
        progress.phase(
          'search',
          Math.round(cell.epochsPlanned * perEpoch),
          'steps',
          Math.round(cell.epochsDone * perEpoch),
        );
      shown = true;
    } else if (event.type === 'step') {
      const { policy, rung, rungs, seed, best } = cell;
      const leader = best === undefined ? [] : [`best ${best.policy} ${percent(best.top1)}`];
      const words = [`${place(rung, rungs)}${policy} seed ${seed}`, ...leader];
      progress.update(Math.round(cell.epochsDone * perEpoch) + event.step, words);
    }
  };
}

/** The ranking and what to do with it. */
function summary(result: SearchResult): string {
  const { run, cells, verdict, baseline, command, rungs } = result;
  const measured = cells.filter((cell): cell is CellResult & { top1: number } => cell.top1 !== null);
  const rows = measured.map(({ policy, rung, epochs, top1, interval, gain, loss, seeds }) => [
    policy,
    ...(rungs.length > 1 ? [`${rung}/${rungs.length}`] : []),
    String(epochs),
    loss === null ? 'diverged' : percent(top1),
    plusMinus(interval ?? undefined).trim(),
    gain === null || policy === baseline
      ? ''
      : `${points(gain.mean).replace('\u2212', '-')}${plusMinus(gain.interval ?? undefined)}`,
    String(seeds.length),
  ]);
  const heading = [
    'policy',
    ...(rungs.length > 1 ? ['stage'] : []),
    'epochs',
    'accuracy',
    '95%',
    `above ${baseline}`,
    'seeds',
  ];
  const found = command === null ? verdict : `${verdict} Chosen on these images, its accuracy is too high.`;
  const rest = facts(runFacts(result, [['heat map', `${run}/heat-map.png`]]));
  const next = command === null ? '' : `\n${command}\n`;
  return `\n${table([heading, ...rows])}${unfinished(result)}\n${found}\n${rest}${next}`;
}

/** What there is to do when a shard has ended. */
function nextOf(waitsFor: number | null, stages: number, merge: string): string {
  if (waitsFor === null) return merge;
  if (waitsFor === stages) return `when the other shards have ended: ${merge}`;
  return `stage ${waitsFor} of ${stages} waits for other shards; when they have ended, start all again`;
}

/** What the time limit left undone, and how to go on; empty where nothing is. */
function unfinished({ run, cells, trainings }: SearchResult): string {
  const left = trainings.planned - trainings.done;
  if (left === 0) return '';
  const missing = cells.filter(({ top1 }) => top1 === null).map(({ policy }) => policy);
  const names = missing.length > 6 ? [...missing.slice(0, 6), `${missing.length - 6} more`] : missing;
  return (
    `\nThe time limit was reached: ${left} of ${trainings.planned} trainings were not done` +
    `${names.length > 0 ? `, among them all of ${names.join(', ')}` : ''}. ` +
    `Continue with: pupil search --resume ${run} --minutes T\n`
  );
}
