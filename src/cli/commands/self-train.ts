import { pathToFileURL } from 'node:url';
import { PupilError } from '../../errors.js';
import { selfTrain as run } from '../../jobs/self-train.js';
import { createChainView, roundTable } from '../chain-view.js';
import { duration, facts } from '../table.js';
import { conclude } from '../result.js';
import type { Terminal } from '../terminal.js';
import { followRun } from '../training-progress.js';
import type { SelfTrainOptions } from '../training-options.js';
import { refuseChanges } from './train.js';

/** `pupil self-train [DATA]`. */
export async function selfTrain(
  data: string | undefined,
  { json, ...options }: SelfTrainOptions,
  terminal: Terminal,
): Promise<void> {
  if (data === undefined && options.resume === undefined) {
    throw new PupilError(
      'usage',
      'self-train needs DATA, a folder with one subfolder per class (or --resume RUN); see pupil self-train --help',
    );
  }
  if (options.resume !== undefined) await refuseChanges(options.resume, data, options);
  const result = await followRun(
    'self-train',
    (signal) => run(data, { ...options, signal }),
    terminal,
    createChainView,
  );
  const { rounds, best, run: folder, model, seconds } = result;
  const summary = (): string =>
    `\n${roundTable(rounds, best.epoch)}\n${facts([
      ['time', duration(seconds)],
      ['run', folder],
      ['model', model],
      ['report', pathToFileURL(`${folder}/report.html`).href],
    ])}`;
  conclude(result, summary, json, terminal);
}
