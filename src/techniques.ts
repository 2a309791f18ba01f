/**
 * Techniques as values for the option `technique`: plain data, a name and the options that the
 * technique reads. What is left out has its default.
 *
 * @module
 */
import { assertObject } from './arguments.js';
import type { Asked } from './options/option.js';
import type { TechniqueName, TrainOptions } from './options/training.js';
import type { techniques } from './techniques/index.js';

export type { Asked };

/** A technique by name, with some of its options settled. */
export type TechniqueValue<Name extends TechniqueName = TechniqueName> = Name extends unknown
  ? { readonly name: Name } & OptionsOf<Name>
  : never;

/**
 * The options that a technique reads, of those that not every technique reads, and images without
 * labels.
 */
export type OptionsOf<Name extends TechniqueName> = Asked<Pick<TrainOptions, Read<Name>>>;

/** The names of the options that a technique reads. */
export type Read<Name extends TechniqueName> =
  Extract<(typeof techniques)[Name]['options'][number], keyof TrainOptions> | 'unlabelled';

const valueOf =
  <Name extends TechniqueName>(name: Name) =>
  (options?: OptionsOf<Name>): TechniqueValue<Name> => {
    if (options !== undefined) assertObject(options);
    return { ...options, name } as unknown as TechniqueValue<Name>;
  };

/** Distillation (Hinton et al. 2015): a network imitates one or several trained ones. */
export const distillation = valueOf('distillation');
/** Pseudo-labels (Lee 2013): labels and a file of pseudo-labels together. */
export const pseudoLabels = valueOf('pseudo-labels');
/** FixMatch with a file of soft labels as the prior of the network's predictions. */
export const priorMatch = valueOf('prior-match');
/**
 * FixMatch (Sohn et al. 2020): confident predictions on weak views are the labels of strong views.
 *
 * @example
 * await train('photos', { technique: fixMatch({ unlabelled: 'camera', threshold: 0.95 }) });
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
