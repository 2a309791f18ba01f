import { knownTo } from '../../options/option.js';
import { shardOptions } from '../../options/shards.js';
import { evaluateOptions, loadOptions, measureOptions } from '../../options/tools.js';
import { command, dataArgument, modelArgument } from '../command.js';
import { describeMetrics } from '../measures.js';
import { createProgress } from '../progress.js';
import { count } from '../table.js';
import { doShard, refuseOthers } from '../shard.js';
import { followAlone } from '../training-progress.js';
import { conclude, present, refuseExisting, warningsTo, warnUnreadable } from '../result.js';

export const evaluate = command('evaluate', 'Measure a model on labelled images.', {
  arguments: { '<model>': modelArgument, '<data>': dataArgument },
  options: { ...evaluateOptions, ...shardOptions },
  examples: [
    'pupil evaluate runs/photos photos',
    'pupil evaluate runs/photos/model.onnx photos --split val --tta --json',
  ],
  async run({ model: source, data }, { json, shard, ...given }, terminal) {
    const { out, ...options } = given;
    if (shard !== undefined) {
      const { evaluateShard } = await import('../../jobs/shards/evaluate.js');
      return doShard((signal) => evaluateShard(source, data, shard, { ...given, signal }), json, terminal);
    }
    await refuseExisting(out, 'evaluation');
    const [{ evaluate: measure }, { loadModel }] = await Promise.all([
      import('../../evaluate/evaluate.js'),
      import('../../evaluate/load.js'),
    ]);
    const model = await loadModel(source, {
      ...knownTo(loadOptions, options),
      purpose: 'evaluation',
      onWarning: warningsTo(terminal),
    });
    try {
      const progress = await createProgress(terminal);
      let started = false;
      const { metrics, images, learned, refused, unreadable } = await measure(model, data, {
        ...knownTo(measureOptions, options),
        onProgress: (done, total) => {
          if (!started) progress.phase('evaluating', total, 'images');
          started = true;
          progress.update(Math.floor(done));
        },
      }).finally(() => progress.end());
      warnUnreadable(unreadable, terminal);
      const result = { ...metrics, learned, refused, skipped: unreadable };
      const saved = { ...result, classes: model.labels, predictions: images };
      const text = (): string => noteOf(learned, metrics.count) + describeMetrics(metrics, model.labels, refused);
      await present({ result, text, name: 'evaluation', saved }, { json, out }, terminal);
    } finally {
      await model.close();
    }
  },
  async merge(folder, { json, out, ...others }, terminal) {
    refuseOthers(others);
    const { mergeEvaluation } = await import('../../jobs/shards/evaluate.js');
    const { metrics, learned, refused, unreadable, classes } = await followAlone(
      (signal) => mergeEvaluation(folder, { out, signal }),
      terminal,
    );
    warnUnreadable(unreadable, terminal);
    const text = (): string => noteOf(learned, metrics.count) + describeMetrics(metrics, classes, refused);
    conclude({ ...metrics, learned, refused, skipped: unreadable }, text, json, terminal);
  },
});

/** Beside the number, where it is no measure of new images. */
const noteOf = (learned: number | undefined, images: number): string =>
  learned === undefined || learned === 0
    ? ''
    : `the model learned from ${learned === images ? 'all' : count(learned)} of these ${count(images)} images: on ` +
      'new ones expect less\n\n';
