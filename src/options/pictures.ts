/** Table of what `predict` of a classifier can be told; browsers load it too. */
import { flag, probability, valueOf, whole } from './kinds.js';
import { group, option } from './option.js';

export const pictureOptions = group('Prediction', {
  views: option(
    valueOf<1 | 10>('1 or 10', (value) => value === 1 || value === 10),
    {
      says:
        '10: average ten views of each image, its corners, its centre and their mirror images (two where nothing is ' +
        'cropped away); slower, and a little more often right',
      usual: 1,
    },
  ),
  batchSize: option(whole(1), { says: 'images run at once', usual: 32 }),
  threshold: option(probability, {
    says: 'least confidence of a class; an image below it is none of these',
    usual: 0,
    rank: 2,
  }),
  rejection: option(flag, {
    says: 'an image unlike the training images of every class is none of these, where the model learned that',
    no: 'give a class to images unlike the training images of every class, too',
    usual: true,
  }),
});
