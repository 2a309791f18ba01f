import { PupilError } from '../../errors.js';
import type { PseudoLabelResult } from '../../jobs/label/label.js';
import { pseudoLabelOptions } from '../../options/tools.js';
import { omit, pick } from '../../options/option.js';
import { consensusOptions, featuresOptions, shardOptions } from '../../options/shards.js';
import { command } from '../command.js';
import { conclude } from '../result.js';
import { duration } from '../../report/format.js';
import { count, facts, percent, printable, table } from '../table.js';
import { doShard, refuseOthers } from '../shard.js';
import { followAlone } from '../training-progress.js';

export const pseudoLabel = command(
  'pseudo-label',
  'Label images with a trained model, as a file to check, correct and train on.',
  {
    arguments: { '<images>': 'a folder, .tar or manifest of images; labels there are ignored' },
    options: { ...pseudoLabelOptions, ...shardOptions, ...consensusOptions },
    examples: [
      'pupil pseudo-label camera --model runs/photos --threshold 0.8 --exclude photos --out camera.csv',
      'pupil pseudo-label camera.tar --model runs/photos --soft --per-class 500 --out camera.parquet',
      'pupil pseudo-label camera --model runs/photos --shard auto --out parts   in a Slurm array',
      'pupil pseudo-label --merge parts --out camera.parquet',
      'pupil pseudo-label --merge parts --data photos --model backbone.onnx --out camera.parquet   of pupil features',
    ],
    async run({ images }, { json, shard, data, ...options }, terminal) {
      if (data !== undefined)
        throw new PupilError('usage', '`data` has a use with `merge` alone; labelled images are given to train', {
          option: 'data',
        });
      if (shard !== undefined) {
        const { labelShard } = await import('../../jobs/shards/labels.js');
        return doShard((signal) => labelShard(images, shard, { ...options, signal }), json, terminal);
      }
      const { pseudoLabel: start } = await import('../../jobs/label/label.js');
      const result = await followAlone((signal) => start(images, { ...options, signal }), terminal);
      conclude(result, () => summary(result), json, terminal);
    },
    async merge(folder, { json, out, threshold, perClass, balance, soft, data, ...others }, terminal) {
      const options = { out, threshold, perClass, balance, soft };
      if (data !== undefined) {
        const { mergeConsensus } = await import('../../jobs/shards/consensus.js');
        const seen = Object.keys(featuresOptions) as (keyof typeof featuresOptions & keyof typeof others)[];
        refuseOthers(omit(others, seen));
        const told = { ...options, ...pick(others, seen) };
        const result = await followAlone((signal) => mergeConsensus(folder, data, { ...told, signal }), terminal);
        return conclude(result, () => summary(result), json, terminal);
      }
      refuseOthers(others);
      const { mergeLabels } = await import('../../jobs/shards/labels.js');
      const result = await followAlone((signal) => mergeLabels(folder, { ...options, signal }), terminal);
      conclude(result, () => summary(result), json, terminal);
    },
  },
);

/** What was accepted of each class, and what was skipped. */
function summary({
  file,
  total,
  accepted,
  threshold,
  perClass,
  meanConfidence,
  excluded,
  repeated,
  skipped,
  outOfDistribution,
  soft,
  seconds,
}: PseudoLabelResult): string {
  const copies = Object.values(perClass).reduce((sum, row) => sum + row.copies, 0);
  const rows = Object.entries(perClass).map(([name, row]) => [
    printable(name),
    String(row.predicted),
    percent(row.meanConfidence),
    String(row.accepted),
    String(row.copies),
  ]);
  const left = [
    [excluded, 'that are also in --exclude'],
    [repeated, 'duplicates'],
    [skipped.length, 'unreadable'],
    [outOfDistribution?.count ?? 0, 'unlike the images of --like (in the file, but not accepted)'],
  ] as const;
  const heading = ['class', 'predicted', 'confidence', 'accepted', 'copies'];
  const sum = ['all', String(total), percent(meanConfidence), String(accepted), String(copies)];
  const shares =
    `${count(accepted)} of ${count(total)} (${percent(accepted / total)}), ` +
    `confidence ${threshold ?? 0} or more, ${soft ? 'soft' : 'hard'} labels`;
  const pairs = facts([
    ['accepted', shares],
    ...left.filter(([n]) => n > 0).map(([n, why]) => ['skipped', `${count(n)} ${why}`] as const),
    ['time', duration(seconds)],
    ['file', printable(file)],
  ]);
  return `\n${table([heading, ...rows, sum])}\n${pairs}`;
}
