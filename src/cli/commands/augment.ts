import { refuseAmongImages } from '../../artifact/free.js';
import { augmentOptions } from '../../options/tools.js';
import { command } from '../command.js';
import { conclude, freeFile } from '../result.js';

export const augment = command('augment', 'Draw a sheet of what augmentation does to images.', {
  arguments: { '<images>': 'an image, or a folder, .tar or manifest of images' },
  options: augmentOptions,
  examples: [
    'pupil augment photo.jpg --out sheet.png                                   every operation, by magnitude',
    'pupil augment photo.jpg --policy randaugment:n=2,m=9 --out draws.png      what training would see',
    'pupil augment photos --cutmix --out mixed.png                             mixed batches and their labels',
  ],
  async run({ images }, { json, out, ...options }, terminal) {
    const file = await freeFile('augment', out, 'sheet.png');
    await refuseAmongImages('out', file, [images]);
    const { drawAugmentation } = await import('../augmentation-sheet.js');
    const { result, text } = await drawAugmentation(images, file, options, terminal);
    conclude(result, text, json, terminal);
  },
});
