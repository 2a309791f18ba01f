import type { TechniqueName } from '../options/training.js';
import type { Objective } from '../train/objective.js';
import { distillation } from './distillation.js';
import { fixmatch } from './fixmatch.js';
import { flexmatch } from './flexmatch.js';
import { pseudoLabels } from './pseudo-labels.js';
import { softmatch } from './softmatch.js';
import { supervised } from './supervised.js';
import { objectiveOf as objectiveOfRow, type OptionName, type Technique, type TechniqueOptions } from './technique.js';

/** Every technique; what else has to know of one reads its row. */
const rows = [supervised, distillation, pseudoLabels, fixmatch, flexmatch, softmatch] as const;

export type { TechniqueName } from '../options/training.js';

export const techniques = Object.fromEntries(rows.map((row) => [row.name, row])) as unknown as Readonly<
  Record<TechniqueName, Technique<TechniqueName>>
>;

export const techniqueNames: readonly TechniqueName[] = rows.map(({ name }) => name);

/** What labels alone are learned with. */
export const defaultTechnique: TechniqueName = supervised.name;

/** The options that only some techniques read. */
export const techniqueOptions: ReadonlySet<OptionName> = new Set(
  rows.flatMap(({ options }): readonly OptionName[] => options),
);

/** The technique of a run. */
export const techniqueOf = ({ technique }: { readonly technique: TechniqueName }): Technique<TechniqueName> =>
  techniques[technique];

/** The objective of a run. */
export const objectiveOf = (settings: { readonly technique: TechniqueName } & Partial<TechniqueOptions>): Objective =>
  objectiveOfRow(techniqueOf(settings), settings);
