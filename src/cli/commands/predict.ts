import { predict as classify } from '../../evaluate/evaluate.js';
import { loadModel } from '../../evaluate/load.js';
import type { PredictOptions } from '../program.js';
import { present, refuseExisting, warnUnreadable } from '../result.js';
import { percent, printable } from '../table.js';
import type { Terminal } from '../terminal.js';

/** `pupil predict MODEL IMAGE...`. */
export async function predict(
  source: string,
  images: readonly string[],
  options: PredictOptions,
  terminal: Terminal,
): Promise<void> {
  await refuseExisting(options.out, 'predictions');
  const model = await loadModel(source, options);
  try {
    const { predictions, unreadable } = await classify(model, images, options.tta === undefined ? {} : { tta: true });
    warnUnreadable(unreadable, terminal);
    const text = (): string =>
      predictions
        .map(({ path, probabilities }) => {
          const best = Object.entries(probabilities)
            .sort((a, b) => b[1] - a[1])
            .slice(0, options.top ?? 3);
          return `${printable(path)}: ${best.map(([label, p]) => `${printable(label)} ${percent(p)}`).join(', ')}\n`;
        })
        .join('');
    await present({ predictions }, text, options, 'predictions', terminal);
  } finally {
    await model.close();
  }
}
