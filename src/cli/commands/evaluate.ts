import { evaluate as measure } from '../../evaluate/evaluate.js';
import { loadModel } from '../../evaluate/load.js';
import { describeMetrics } from '../measures.js';
import { createProgress } from '../progress.js';
import type { EvaluateOptions } from '../program.js';
import { present, refuseExisting, warnUnreadable } from '../result.js';
import type { Terminal } from '../terminal.js';

/** `pupil evaluate MODEL DATA`. */
export async function evaluate(
  source: string,
  data: string,
  options: EvaluateOptions,
  terminal: Terminal,
): Promise<void> {
  await refuseExisting(options.out, 'evaluation');
  const model = await loadModel(source, { ...options, purpose: 'evaluation' });
  try {
    const progress = await createProgress(terminal);
    let started = false;
    const { metrics, images, unreadable } = await measure(model, data, {
      ...options,
      onProgress: (done, total) => {
        if (!started) progress.phase('evaluating', total, 'images');
        started = true;
        progress.update(Math.floor(done));
      },
    }).finally(() => progress.end());
    warnUnreadable(unreadable, terminal);
    const saved = { ...metrics, classes: model.labels, predictions: images };
    await present(metrics, () => describeMetrics(metrics, model.labels), options, 'evaluation', terminal, saved);
  } finally {
    await model.close();
  }
}
