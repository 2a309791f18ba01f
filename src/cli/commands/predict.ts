import { dirname } from 'node:path';
import { placeFrom, spreadsheet } from '../../artifact/csv.js';
import { writeFileAtomically } from '../../artifact/files.js';
import type { PathPrediction } from '../../evaluate/predict-files.js';
import { knownTo } from '../../options/option.js';
import { loadOptions, predictOptions } from '../../options/tools.js';
import { command, modelArgument } from '../command.js';
import { refuseExistingFile } from '../../artifact/free.js';
import { conclude, warningsTo, warnUnreadable } from '../result.js';
import { count, percent, printable, table } from '../table.js';

/** How an image is called that is of no class. */
const none = 'none of these';

const labelOf = ({ label, none: isNone }: PathPrediction): string => (isNone ? none : label);

export const predict = command('predict', 'Classify images.', {
  arguments: { '<model>': modelArgument, '<images...>': 'image files, or folders of images' },
  options: predictOptions,
  examples: [
    'pupil predict runs/photos photo.jpg',
    'pupil predict runs/photos/model.onnx holiday/*.jpg --json',
    'pupil predict runs/photos holiday --threshold 0.8 --csv holiday.csv',
  ],
  async run(
    { model: source, images },
    { json, out, csv, top = 3, tta = false, threshold, rejection, ...options },
    terminal,
  ) {
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
        threshold,
        rejection,
      });
      warnUnreadable(unreadable, terminal);
      const result = { predictions: predictions.map(inJson), counts: countsOf(predictions), skipped: unreadable };
      if (csv !== undefined) await writeFileAtomically(csv, csvOf(predictions, dirname(csv)));
      if (out !== undefined) await writeFileAtomically(out, `${JSON.stringify(result, null, 2)}\n`);
      conclude(result, () => describe(predictions, top), json, terminal);
    } finally {
      await model.close();
    }
  },
});

/** Without a label where the image is none of these: the confidence is that of the likeliest class. */
const inJson = ({ path, label, ...said }: PathPrediction): object => ({
  path,
  label: said.none ? null : label,
  ...said,
});

/** How many images are of each class, the largest number first. */
function countsOf(predictions: readonly PathPrediction[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const prediction of predictions) {
    const label = labelOf(prediction);
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
}

/** A line for each image; of several images also how many are of each class. */
function describe(predictions: readonly PathPrediction[], top: number): string {
  const lines = predictions.map((prediction) => {
    const best = Object.entries(prediction.probabilities)
      .sort((a, b) => b[1] - a[1])
      .slice(0, top);
    const said = best.map(([label, p]) => `${printable(label)} ${percent(p)}`).join(', ');
    return `${printable(prediction.path)}: ${prediction.none ? `${none} (${said})` : said}\n`;
  });
  if (predictions.length < 2) return lines.join('');
  const rows = Object.entries(countsOf(predictions)).map(([label, n]) => [label, count(n)]);
  return `${lines.join('')}\n${table([['class', 'images'], ...rows])}`;
}

/** Paths are as seen from `folder`, where it will lie. */
const csvOf = (predictions: readonly PathPrediction[], folder: string): string =>
  spreadsheet([
    ['path', 'label', 'confidence'],
    ...predictions.map((prediction) => [
      placeFrom(folder, prediction.path),
      labelOf(prediction),
      String(Number(prediction.confidence.toPrecision(4))),
    ]),
  ]);
