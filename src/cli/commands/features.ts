import type { FeaturesResult } from '../../jobs/features.js';
import { featuresOptions, shardOptions } from '../../options/shards.js';
import { command } from '../command.js';
import { conclude } from '../result.js';
import { doShard, refuseOthers } from '../shard.js';
import { duration } from '../../report/format.js';
import { count, facts, printable } from '../table.js';
import { followAlone } from '../training-progress.js';

export const features = command('features', "Write what a network's last layer sees of images, as a Parquet file.", {
  arguments: { '<images>': 'a folder, .tar or manifest of images; labels there are ignored' },
  options: { ...featuresOptions, ...shardOptions },
  examples: [
    'pupil features camera --model backbone.onnx --out camera.parquet',
    'pupil features camera --model backbone.onnx --shard 1/8 --out parts',
    'pupil features --merge parts --out camera.parquet',
  ],
  async run({ images }, { json, shard, ...options }, terminal) {
    if (shard !== undefined) {
      const { featuresShard } = await import('../../jobs/shards/features.js');
      return doShard((signal) => featuresShard(images, shard, { ...options, signal }), json, terminal);
    }
    const { features: start } = await import('../../jobs/features.js');
    const result = await followAlone((signal) => start(images, { ...options, signal }), terminal);
    conclude(result, () => summary(result), json, terminal);
  },
  async merge(folder, { json, out, ...others }, terminal) {
    refuseOthers(others);
    const { mergeFeatures } = await import('../../jobs/shards/features.js');
    const result = await followAlone((signal) => mergeFeatures(folder, { out, signal }), terminal);
    conclude(result, () => summary(result), json, terminal);
  },
});

const summary = ({ file, images, size, skipped, seconds }: FeaturesResult): string =>
  facts([
    ['images', count(images)],
    ['numbers of each', count(size)],
    ...(skipped.length > 0 ? [['skipped', `${count(skipped.length)} unreadable`] as const] : []),
    ['time', duration(seconds)],
    ['file', printable(file)],
  ]);
