import type { Job } from '../../job.js';
import type { LearnEvent, LearnResult } from '../../jobs/learn/learn.js';
import type { LearnMergeResult, LearnShardResult } from '../../jobs/shards/learn.js';
import { PupilError } from '../../errors.js';
import { learnOptions, type LearnOptions } from '../../options/jobs.js';
import { seedsOptions, shardOptions, type ShardChoice } from '../../options/shards.js';
import { createChainView, rungTable, seedsTable } from '../chain-view.js';
import { command, dataArgument, requireData } from '../command.js';
import { describeMetrics } from '../measures.js';
import { conclude } from '../result.js';
import { refuseOthers } from '../shard.js';
import { duration } from '../../report/format.js';
import { aboutRounds } from '../../report/intervals.js';
import { count, facts, printable, runFacts } from '../table.js';
import type { Terminal } from '../terminal.js';
import { followAlone, followRun } from '../training-progress.js';

export const learn = command('learn', 'Find the best model in the time given, from few labels.', {
  arguments: { '[data]': dataArgument },
  options: { ...learnOptions, ...shardOptions, ...seedsOptions },
  examples: [
    'pupil learn photos --unlabelled more --model backbone.onnx --minutes 30',
    'pupil learn photos --labels-per-class 10 --model resnet20 --student resnet8',
    'pupil learn --resume runs/learn-1',
    'pupil learn photos --seeds 8 --shard auto --out parts   in a Slurm array',
    'pupil learn --merge parts --out runs/learn-1',
  ],
  async run({ data }, { json, shard, seeds, ...options }, terminal) {
    if (shard !== undefined) return climbShard(data, shard, { ...options, seeds }, { json, terminal });
    if (seeds !== undefined)
      throw new PupilError('usage', '`seeds` needs `shard`: add `shard: 1/1` to learn with all of them here', {
        option: 'seeds',
      });
    requireData('learn', data, options.resume);
    const { learn: start } = await import('../../jobs/learn/learn.js');
    const of = options.resume === undefined ? '' : ', all sessions together';
    await showLadder('learn', (signal) => start(data, { ...options, signal }), { json, terminal, of });
  },
  async merge(folder, { json, out, ...others }, terminal) {
    refuseOthers(others);
    const { mergeLearn } = await import('../../jobs/shards/learn.js');
    const result = await followAlone((signal) => mergeLearn(folder, { out, signal }), terminal, createChainView);
    conclude(result, () => mergeSummary(result), json, terminal);
  },
});

/** Climbs the ladder by one shard's seeds. */
async function climbShard(
  data: string | undefined,
  shard: ShardChoice,
  options: LearnOptions & { readonly seeds?: number | undefined },
  { json, terminal }: { readonly json: boolean | undefined; readonly terminal: Terminal },
): Promise<void> {
  requireData('learn', data, undefined);
  const { learnShard } = await import('../../jobs/shards/learn.js');
  const result = await followAlone(
    (signal) => learnShard(data!, shard, { ...options, signal }),
    terminal,
    createChainView,
  );
  conclude(result, () => shardSummary(result), json, terminal);
}

const shardSummary = ({ shard, folder, seeds, trained, helped, done, planned, seconds }: LearnShardResult): string =>
  facts([
    ['shard', `${shard.index} of ${shard.count}`],
    [
      'seeds',
      `${seeds.join(', ') || 'none'}; ${count(trained.length)} now, ${done} of ${planned} with those of all shards`,
    ],
    ...(helped > 0 ? [['helped', `with ${helped} ${helped === 1 ? 'training' : 'trainings'} on folds`] as const] : []),
    ['next', `${done < planned ? 'when the other shards have ended: ' : ''}pupil learn --merge ${printable(folder)}`],
    ['time', duration(seconds)],
  ]);

const mergeSummary = (result: LearnMergeResult): string => {
  const { seeds, kept } = result.seeds;
  const remark =
    `seed ${kept} of ${seeds.length} is kept, the best on held-out labels; chosen by them, its accuracy there is too ` +
    'high: expect the mean.';
  return `\n${seedsTable(result.seeds)}\n${remark}\n${facts(runFacts(result))}`;
};

/**
 * Follows a ladder and ends with what each technique brought; returns its result. `name`: the command, as it is typed
 * to go on with an interrupted one.
 */
export async function showLadder(
  name: string,
  start: (signal: AbortSignal) => Job<LearnEvent, LearnResult>,
  { json, terminal, of }: { readonly json: boolean | undefined; readonly terminal: Terminal; readonly of?: string },
): Promise<LearnResult> {
  const result = await followRun(name, start, terminal, createChainView);
  const summary = (): string => {
    const { rungs, test, val } = result;
    const measured = test ?? val;
    const metrics = measured === undefined ? 'not measured' : describeMetrics(measured, Object.keys(measured.perClass));
    const split = test === undefined ? 'validation' : 'test';
    const remark = rungs.some(({ optimistic }) => optimistic) ? `${aboutRounds}\n\n` : '';
    return `\n${rungTable(rungs)}\n${remark}${split}: ${metrics}\n${facts(runFacts(result, [], of))}`;
  };
  conclude(result, summary, json, terminal);
  return result;
}
