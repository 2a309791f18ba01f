import { dirname } from 'node:path';
import { createLabelCounts, csvRow, csvTitles, inJson, noneLabel } from '../../evaluate/prediction-table.js';
import { placeFrom, spreadsheet } from '../../artifact/csv.js';
import { allOrNone, writeFileAtomically } from '../../artifact/files.js';
import { inForm } from '../../artifact/json-result.js';
import { PupilError } from '../../errors.js';
import type { PathPrediction } from '../../evaluate/predict-files.js';
import { knownTo } from '../../options/option.js';
import { shardOptions } from '../../options/shards.js';
import { loadOptions, predictOptions } from '../../options/tools.js';
import { command, modelArgument } from '../command.js';
import { refuseExistingFile } from '../../artifact/free.js';
import { conclude, warningsTo, warnUnreadable } from '../result.js';
import { doShard, refuseOthers } from '../shard.js';
import { count, facts, percent, printable, table } from '../table.js';
import { followAlone } from '../training-progress.js';

export const predict = command('predict', 'Classify images.', {
  arguments: { '<model>': modelArgument, '<images...>': 'image files, or folders of images' },
  options: { ...predictOptions, ...shardOptions },
  examples: [
    'pupil predict runs/photos photo.jpg',
    'pupil predict runs/photos/model.onnx holiday/*.jpg --json',
    'pupil predict runs/photos holiday --threshold 0.8 --csv holiday.csv',
  ],
  async run({ model: source, images }, { json, shard, ...given }, terminal) {
    const { out, csv, top = 3, tta = false, batchSize, skip, threshold, rejection, ...options } = given;
    if (tta && batchSize !== undefined)
      throw new PupilError('usage', '`batchSize` has no use with `tta`, image after image; leave it out', {
        option: 'batchSize',
      });
    if (shard !== undefined) {
      const { predictShard } = await import('../../jobs/shards/predict.js');
      return doShard((signal) => predictShard(source, images, shard, { ...given, signal }), json, terminal);
    }
    await refuseExistingFile('csv', csv);
    await refuseExistingFile('out', out);
    const [{ predictFiles }, { loadModel }] = await Promise.all([
      import('../../evaluate/predict-files.js'),
      import('../../evaluate/load.js'),
    ]);
    const model = await loadModel(source, { ...knownTo(loadOptions, options), onWarning: warningsTo(terminal) });
    try {
      const { predictions, unreadable } = await predictFiles(model, images, {
        views: tta ? 10 : 1,
        batchSize,
        skip,
        threshold,
        rejection,
      });
      warnUnreadable(unreadable, terminal);
      const result = { predictions: predictions.map(inJson), counts: countsOf(predictions), skipped: unreadable };
      await allOrNone([csv, out], async () => {
        if (csv !== undefined) await writeFileAtomically(csv, csvOf(predictions, dirname(csv)));
        if (out !== undefined) await writeFileAtomically(out, `${JSON.stringify(inForm(result), null, 2)}\n`);
      });
      conclude(result, () => describe(predictions, top), json, terminal);
    } finally {
      await model.close();
    }
  },
  async merge(folder, { json, out, csv, ...others }, terminal) {
    refuseOthers(others);
    const { mergePredictions } = await import('../../jobs/shards/predict.js');
    const merged = await followAlone((signal) => mergePredictions(folder, { out, csv, signal }), terminal);
    warnUnreadable(merged.skipped, terminal);
    const files = [out, csv].flatMap((file) => (file === undefined ? [] : [['file', printable(file)] as const]));
    conclude({ ...merged, out, csv }, () => `${countTable(merged.counts)}\n${facts(files)}`, json, terminal);
  },
});

function countsOf(predictions: readonly PathPrediction[]): Record<string, number> {
  const counts = createLabelCounts();
  counts.add(predictions);
  return counts.sorted();
}

const countTable = (counts: Readonly<Record<string, number>>): string =>
  table([['class', 'images'], ...Object.entries(counts).map(([label, n]) => [label, count(n)])]);

/** A line for each image; of several images also how many are of each class. */
function describe(predictions: readonly PathPrediction[], top: number): string {
  const lines = predictions.map((prediction) => {
    const best = Object.entries(prediction.probabilities)
      .sort((a, b) => b[1] - a[1])
      .slice(0, top);
    const said = best.map(([label, p]) => `${printable(label)} ${percent(p)}`).join(', ');
    return `${printable(prediction.path)}: ${prediction.none ? `${noneLabel} (${said})` : said}\n`;
  });
  if (predictions.length < 2) return lines.join('');
  return `${lines.join('')}\n${countTable(countsOf(predictions))}`;
}

/** Paths are as seen from `folder`, where it will lie. */
const csvOf = (predictions: readonly PathPrediction[], folder: string): string =>
  spreadsheet([csvTitles, ...predictions.map((prediction) => csvRow(prediction, placeFrom(folder, prediction.path)))]);
