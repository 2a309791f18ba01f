import { demoOpenOptions, demoOptions } from '../../options/jobs.js';
import { PupilError } from '../../errors.js';
import { omit } from '../../options/option.js';
import { demo as recipe } from '../../options/recipes.js';
import { command } from '../command.js';
import { showLadder } from './learn.js';
import { serveStudio } from './studio.js';

export const demo = command('demo', 'Learn the bundled digits from 10 labels per class, in two minutes.', {
  options: { ...demoOptions, ...demoOpenOptions },
  examples: ['pupil demo', 'pupil demo --open', 'pupil demo --epochs 3 --seed 1 --out runs/digits'],
  async run(_, { json, open, ...options }, terminal) {
    if (json && open)
      throw new PupilError('usage', '`open` is for a person, `json` for a program: leave one of them out', {
        option: 'open',
      });
    if (!json) {
      terminal.err(
        'Handwritten digits: 100 labelled images (10 of each), 7,900 unlabelled, 2,000 to be measured on.\n',
      );
    }
    const [{ openDigits }, { learn }, { unreadOptions }] = await Promise.all([
      import('../../data/digits.js'),
      import('../../jobs/learn/learn.js'),
      import('../../jobs/learn/rungs.js'),
    ]);
    const digits = await openDigits();
    // A resumed run has its own options; of the recipe's, some serve techniques that may not be tried.
    const unread = unreadOptions({ ...recipe, rungs: options.rungs }).filter((name) => name !== 'rungs');
    const all = options.resume === undefined ? { ...omit(recipe, unread), ...options } : options;
    const goesOn = open ? 'demo --open' : 'demo';
    const { run } = await showLadder(goesOn, (signal) => learn(digits, { ...all, signal }), { json, terminal });
    if (open) await serveStudio({ run }, '#/try', { open }, terminal);
  },
});
