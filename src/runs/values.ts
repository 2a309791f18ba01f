/** Options in which a technique and an augmentation may stand as values (`pupil/techniques`, `pupil/augment`). */
import type { AugmentPolicy } from '../augment/policy.js';
import { readAugmentation, type Augment } from '../augment/values.js';
import { assertObject } from '../arguments.js';
import { errorAbout, PupilError } from '../errors.js';
import { policy } from '../options/kinds.js';
import { checkOptions, type Asked, type Given, type Options as Table } from '../options/option.js';
import type { TechniqueName } from '../options/techniques.js';
import type { TrainOptions } from '../options/training.js';
import { readPolicy } from './augmentation.js';

/** A technique with options of its own, as plain data. */
export interface TechniqueValue {
  readonly name: TechniqueName;
  readonly [option: string]: unknown;
}

/** What a library user may say: `technique` and `augment` may also be values. */
export type WithValues<Options> = Omit<Asked<Options>, 'technique' | 'augment'> & {
  readonly technique?: TechniqueName | TechniqueValue | undefined;
  readonly augment?: Augment | undefined;
};

/**
 * What `train` can be told; everything has a default (docs/options.md).
 */
export interface TrainRequest extends WithValues<TrainOptions> {}

/**
 * The options, checked, with values written out: a technique's as options beside its name, an
 * augmentation's as one policy and the options for mixing. Throws `usage` for what is wrong in them,
 * and for an option that is given twice.
 */
export async function readRequest<Options>(table: Table, given: WithValues<Options>): Promise<Options> {
  assertObject(given);
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
  if (typeof technique === 'object' && technique !== null && 'technique' in table) {
    const { name, ...own } = technique;
    set('technique', { technique: name, ...own });
  }
  if (typeof augment === 'object' && augment !== null && table['augment']?.kind === policy) {
    const { policy: images, mixing } = await readAugmentation(augment).catch((error: unknown) => {
      throw errorAbout('augment', error);
    });
    options['augment'] = images;
    set('augment', { cutmix: mixing.cutmix, mixup: mixing.mixup, mixProbability: mixing.probability });
  }
  const checked = checkOptions(table, options as Given<Table>);
  for (const [name, value] of Object.entries(checked))
    if (table[name]!.kind === policy) await readPolicy(value as string | AugmentPolicy, name);
  return checked as Options;
}
