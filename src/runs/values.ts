/** Options in which a technique and an augmentation may stand as values (`pupil/techniques`, `pupil/augment`). */
import { readAugmentation, type Augment } from '../augment/values.js';
import { PupilError } from '../errors.js';
import { policy } from '../options/kinds.js';
import type { Options as Table } from '../options/option.js';
import type { TechniqueName } from '../options/techniques.js';
import type { TrainOptions } from '../options/training.js';

/** A technique with options of its own, as plain data. */
export interface TechniqueValue {
  readonly name: TechniqueName;
  readonly [option: string]: unknown;
}

/** Options whose `technique` and `augment` may also be values. */
export type WithValues<Options> = Omit<Options, 'technique' | 'augment'> & {
  readonly technique?: TechniqueName | TechniqueValue | undefined;
  readonly augment?: Augment | undefined;
};

/**
 * What `train` can be told; everything has a default (docs/options.md).
 */
export interface TrainRequest extends WithValues<TrainOptions> {}

/**
 * The options with values written out: a technique's as options beside its name, an augmentation's
 * as one policy and the options for mixing. Throws `usage` for an option that is given twice.
 */
export async function writtenOut<Options>(table: Table, given: WithValues<Options>): Promise<Options> {
  const options: Record<string, unknown> = { ...given };
  const set = (by: string, values: Readonly<Record<string, unknown>>): void => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) continue;
      if (name !== by && options[name] !== undefined)
        throw new PupilError('usage', `\`${name}\` is given twice, by \`${by}\` and on its own; leave one out`, {
          option: name,
        });
      options[name] = value;
    }
  };
  const { technique, augment } = given;
  if (typeof technique === 'object' && 'technique' in table) {
    const { name, ...own } = technique;
    set('technique', { technique: name, ...own });
  }
  if (typeof augment === 'object' && !('steps' in augment) && table['augment']?.kind === policy) {
    const { policy: images, mixing } = await readAugmentation(augment);
    options['augment'] = images;
    set('augment', { cutmix: mixing.cutmix, mixup: mixing.mixup, mixProbability: mixing.probability });
  }
  return options as Options;
}
