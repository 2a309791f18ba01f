import { pathToFileURL } from 'node:url';
import type { Dataset } from '../../data/sample.js';
import { PupilError } from '../../errors.js';
import { learn as run, type LearnOptions as Options } from '../../jobs/ladder.js';
import { createChainView, rungTable } from '../chain-view.js';
import { describeMetrics } from '../measures.js';
import { duration, facts } from '../table.js';
import { conclude } from '../result.js';
import type { Terminal } from '../terminal.js';
import { followRun } from '../training-progress.js';
import type { LearnOptions } from '../training-options.js';
import { refuseChanges } from './train.js';

/** `pupil learn [DATA]`. */
export async function learn(
  data: string | undefined,
  { augment, ...options }: LearnOptions,
  terminal: Terminal,
): Promise<void> {
  if (data === undefined && options.resume === undefined) {
    throw new PupilError(
      'usage',
      'learn needs DATA, a folder with one subfolder per class (or --resume RUN); see pupil learn --help',
    );
  }
  if (augment !== undefined)
    throw new PupilError('usage', `--augment ${augment}: each rung has its own; pupil train tries one`);
  if (options.resume !== undefined) await refuseChanges(options.resume, data, options, ['minutes']);
  await climb(data, options, terminal);
}

/** Climbs the ladder, shows it, and ends with what each rung brought. */
export async function climb(
  data: string | Dataset | undefined,
  { json, ...options }: Omit<LearnOptions, keyof Options> & Options,
  terminal: Terminal,
  command = 'learn',
): Promise<void> {
  const result = await followRun(command, (signal) => run(data, { ...options, signal }), terminal, createChainView);
  const { rungs, run: folder, model, seconds, test, val } = result;
  const measured = test ?? val;
  const summary = (): string =>
    `\n${rungTable(rungs)}\n${test === undefined ? 'val' : 'test'}: ${describeMetrics(measured, Object.keys(measured.perClass))}\n${facts(
      [
        ['time', duration(seconds)],
        ['run', folder],
        ['model', model],
        ['report', pathToFileURL(`${folder}/report.html`).href],
      ],
    )}`;
  conclude(result, summary, json, terminal);
}
