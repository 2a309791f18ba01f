/**
 * Techniques as values for the option `technique`: plain data, a name and the options that the
 * technique reads. What is left out has its default.
 *
 * @example
 * import { train } from 'pupil';
 * import { fixMatch } from 'pupil/techniques';
 *
 * const { val } = await train('photos', { unlabelled: ['camera'], technique: fixMatch({ threshold: 0.9 }) });
 *
 * @module
 */
import type { TechniqueName, TrainOptions } from './options/training.js';
import type { techniques } from './techniques/index.js';

/** A technique by name, with some of its options settled. */
export type TechniqueValue<Name extends TechniqueName = TechniqueName> = Name extends unknown
  ? { readonly name: Name } & OptionsOf<Name>
  : never;

/** The options that a technique reads, of those that not every technique reads. */
export type OptionsOf<Name extends TechniqueName> = Pick<
  TrainOptions,
  (typeof techniques)[Name]['options'][number] & keyof TrainOptions
>;

const valueOf =
  <Name extends TechniqueName>(name: Name) =>
  (options?: OptionsOf<Name>): { readonly name: Name } & OptionsOf<Name> => ({ ...(options as OptionsOf<Name>), name });

/** Distillation (Hinton et al. 2015): a network imitates one or several trained ones. */
export const distillation = valueOf('distillation');
/** Pseudo-labels (Lee 2013): labels and a file of pseudo-labels together. */
export const pseudoLabels = valueOf('pseudo-labels');
/**
 * FixMatch (Sohn et al. 2020): confident predictions on weak views are the labels of strong views.
 */
export const fixMatch = valueOf('fixmatch');
/** FlexMatch (Zhang et al. 2021): FixMatch with a threshold for each class. */
export const flexMatch = valueOf('flexmatch');
/** SoftMatch (Chen et al. 2023): every prediction counts, the less the less sure it is. */
export const softMatch = valueOf('softmatch');
/** FreeMatch (Wang et al. 2023): FixMatch with thresholds that follow how sure the network is. */
export const freeMatch = valueOf('freematch');
/** AdaMatch (Berthelot et al. 2022): pseudo-labels and threshold aligned to the labelled images. */
export const adaMatch = valueOf('adamatch');
/** DebiasMatch (Wang et al. 2022): pseudo-labels freed of the classes that the network prefers. */
export const debiasMatch = valueOf('debiasmatch');
/** Mean Teacher (Tarvainen and Valpola 2017): agreement with the running average of the weights. */
export const meanTeacher = valueOf('mean-teacher');
