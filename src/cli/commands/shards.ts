import type { PackResult } from '../../jobs/pack.js';
import { packOptions } from '../../options/shards.js';
import { command, dataArgument } from '../command.js';
import { conclude } from '../result.js';
import { duration } from '../../report/format.js';
import { count, facts, printable } from '../table.js';
import { followAlone } from '../training-progress.js';

export const shards = command('shards', 'Pack images into numbered .tar archives, their labels inside (WebDataset).', {
  arguments: { '<data>': dataArgument },
  options: packOptions,
  examples: ['pupil shards photos --out packed', 'pupil shards camera --no-labels --resize 256 --shuffle --out packed'],
  async run({ data }, { json, ...options }, terminal) {
    const { packShards } = await import('../../jobs/pack.js');
    const result = await followAlone((signal) => packShards(data, { ...options, signal }), terminal);
    conclude(result, () => summary(result), json, terminal);
  },
});

const summary = ({ folder, shards: archives, images, classes, skipped, seconds }: PackResult): string =>
  facts([
    ['images', count(images)],
    ...(classes.length > 0 ? [['classes', count(classes.length)] as const] : []),
    [
      'archives',
      `${count(archives.length)}, ${(archives.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6).toFixed(1)} MB`,
    ],
    ...(skipped.length > 0 ? [['skipped', `${count(skipped.length)} unreadable`] as const] : []),
    ['time', duration(seconds)],
    ['folder', printable(folder)],
  ]);
