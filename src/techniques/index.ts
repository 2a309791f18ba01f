import type { TechniqueName } from '../options/training.js';
import type { Objective } from '../train/objective.js';
import { adamatch } from './adamatch.js';
import { debiasmatch } from './debiasmatch.js';
import { distillation } from './distillation.js';
import { fixmatch } from './fixmatch.js';
import { flexmatch } from './flexmatch.js';
import { freematch } from './freematch.js';
import { meanTeacher } from './mean-teacher.js';
import { priorMatch } from './prior-match.js';
import { pseudoLabels } from './pseudo-labels.js';
import { softmatch } from './softmatch.js';
import { supervised } from './supervised.js';
import { objectiveOf as objectiveOfRow, type OptionName, type Technique, type TechniqueOptions } from './technique.js';

export type { TechniqueName } from '../options/training.js';

/** Every technique; what else has to know of one reads its row. */
export const techniques = {
  supervised,
  distillation,
  'pseudo-labels': pseudoLabels,
  'prior-match': priorMatch,
  fixmatch,
  flexmatch,
  softmatch,
  freematch,
  adamatch,
  debiasmatch,
  'mean-teacher': meanTeacher,
} satisfies { readonly [Name in TechniqueName]: Technique<Name> };

const rows: readonly Technique<TechniqueName>[] = Object.values(techniques);

/** What labels alone are learned with. */
export const defaultTechnique: TechniqueName = supervised.name;

/** The options that only some techniques read. */
export const techniqueOptions: ReadonlySet<OptionName> = new Set(rows.flatMap(({ options }) => options));

/** The technique of a run. */
export const techniqueOf = ({ technique }: { readonly technique: TechniqueName }): Technique<TechniqueName> =>
  techniques[technique];

/** The objective of a run. */
export const objectiveOf = (settings: { readonly technique: TechniqueName } & Partial<TechniqueOptions>): Objective =>
  objectiveOfRow(techniqueOf(settings), settings);
