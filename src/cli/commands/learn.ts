import type { Job } from '../../job.js';
import type { LearnEvent, LearnResult } from '../../jobs/learn/learn.js';
import { learnOptions } from '../../options/jobs.js';
import { createChainView, rungTable } from '../chain-view.js';
import { command, dataArgument, requireData } from '../command.js';
import { describeMetrics } from '../measures.js';
import { conclude } from '../result.js';
import { facts, runFacts } from '../table.js';
import type { Terminal } from '../terminal.js';
import { followRun } from '../training-progress.js';

export const learn = command('learn', 'Find the best model in the time given, from few labels.', {
  arguments: { '[data]': dataArgument },
  options: learnOptions,
  examples: [
    'pupil learn photos --unlabelled more --model backbone.onnx --minutes 30',
    'pupil learn photos --labels-per-class 10 --model resnet20 --student resnet8',
    'pupil learn --resume runs/learn-1',
  ],
  async run({ data }, { json, ...options }, terminal) {
    requireData('learn', data, options.resume);
    const { learn: start } = await import('../../jobs/learn/learn.js');
    await showLadder('learn', (signal) => start(data, { ...options, signal }), json, terminal);
  },
});

/** Follows a ladder and ends with what each technique brought. */
export async function showLadder(
  name: string,
  start: (signal: AbortSignal) => Job<LearnEvent, LearnResult>,
  json: boolean | undefined,
  terminal: Terminal,
): Promise<void> {
  const result = await followRun(name, start, terminal, createChainView);
  const summary = (): string => {
    const { rungs, test, val } = result;
    const measured = test ?? val;
    const metrics = measured === undefined ? 'not measured' : describeMetrics(measured, Object.keys(measured.perClass));
    const split = test === undefined ? 'validation' : 'test';
    return `\n${rungTable(rungs)}\n${split}: ${metrics}\n${facts(runFacts(result))}`;
  };
  conclude(result, summary, json, terminal);
}
