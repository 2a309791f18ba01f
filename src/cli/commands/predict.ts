import { knownTo } from '../../options/option.js';
import { loadOptions, predictOptions } from '../../options/tools.js';
import { command, modelArgument } from '../command.js';
import { present, refuseExisting, warningsTo, warnUnreadable } from '../result.js';
import { percent, printable } from '../table.js';

export const predict = command('predict', 'Classify images.', {
  arguments: { '<model>': modelArgument, '<images...>': 'image files, or folders of images' },
  options: predictOptions,
  examples: ['pupil predict runs/photos photo.jpg', 'pupil predict runs/photos/model.onnx holiday/*.jpg --json'],
  async run({ model: source, images }, { json, out, top = 3, tta = false, ...options }, terminal) {
    await refuseExisting(out, 'predictions');
    const [{ predictFiles }, { loadModel }] = await Promise.all([
      import('../../evaluate/predict-files.js'),
      import('../../evaluate/load.js'),
    ]);
    const model = await loadModel(source, { ...knownTo(loadOptions, options), onWarning: warningsTo(terminal) });
    try {
      const { predictions, unreadable } = await predictFiles(model, images, { views: tta ? 10 : 1 });
      warnUnreadable(unreadable, terminal);
      const text = (): string =>
        predictions
          .map(({ path, probabilities }) => {
            const best = Object.entries(probabilities)
              .sort((a, b) => b[1] - a[1])
              .slice(0, top);
            return `${printable(path)}: ${best.map(([label, p]) => `${printable(label)} ${percent(p)}`).join(', ')}\n`;
          })
          .join('');
      await present({ result: { predictions }, text, name: 'predictions' }, { json, out }, terminal);
    } finally {
      await model.close();
    }
  },
});
