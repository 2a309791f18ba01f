import type { Command } from 'commander';
import type { ScaleName } from '../augment/policies/scales.js';
import { PupilError } from '../errors.js';
import type { SearchOptions as Search, Space } from '../jobs/search/settings.js';
import { choice, integer, option, type Parser } from './options.js';
import type { TrainOptions } from './training-options.js';

const spaces: readonly Space[] = ['grid', 'policies'];
const scales: readonly ScaleName[] = ['torchvision', 'paper', 'timm', 'timm-increasing'];

/** Whole numbers parted by commas. */
const integers: Parser<number[]> = (text, name) => {
  const parts = text.split(',').map((part) => part.trim());
  if (!parts.every((part) => /^\d+$/.test(part)))
    throw new PupilError('usage', `${name} takes whole numbers such as 1,2,3, got ${JSON.stringify(text)}`);
  return parts.map(Number);
};

/** What `pupil search` understands besides the options of a training. */
export type SearchOptions = TrainOptions &
  Pick<Search, 'space' | 'n' | 'm' | 'scale' | 'candidates' | 'seeds' | 'halving' | 'eta' | 'minEpochs'>;

/** Adds the options of `search`. */
export function searching(command: Command): Command {
  command.optionsGroup('What is searched:');
  option(
    command,
    '--space <SPACE>',
    'grid: N and M of RandAugment; policies: random combinations of ops (default grid)',
    choice(spaces),
  );
  option(command, '--n <LIST>', 'numbers of ops, such as 1,2,3 (the default)', integers);
  option(command, '--m <LIST>', 'magnitudes, such as 3,9,15 (the default)', integers);
  option(command, '--scale <NAME>', `what magnitudes mean: ${scales.join('|')} (default torchvision)`, choice(scales));
  option(command, '--candidates <N>', 'how many policies are drawn (default 16)', integer(1));
  option(
    command,
    '--seeds <N>',
    'trainings of each cell (default 2; one for each fold when labels are few)',
    integer(1),
  );
  command.option('--halving', 'stop hopeless cells early: few epochs for all, more for the best (the default)');
  command.option('--no-halving', 'train every cell in full');
  option(command, '--eta <N>', 'one in N cells goes on, with N times the epochs (default 3)', integer(2));
  option(command, '--min-epochs <N>', 'epochs of the shortest trainings at least (default 2)', integer(1));
  return command;
}
