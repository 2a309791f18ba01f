import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PupilError } from '../errors.js';
import { writeFileAtomically } from './files.js';
import type {
  AutomaticFile,
  EvaluationFile,
  GapFile,
  LadderFile,
  LadderPlan,
  PseudoLabelsFile,
  RoundsFile,
  RunConfig,
  RunResult,
  SearchFile,
  SelectionFile,
} from './formats.js';

/** A file of a run folder. */
export interface RunFile<T> {
  readonly name: string;
  /** Its path in a folder. */
  in(folder: string): string;
  exists(folder: string): Promise<boolean>;
  /** What it holds; undefined where there is none. Throws `bad-data` when it is damaged. */
  read(folder: string): Promise<T | undefined>;
  /** Writes it whole: at every moment it is as before or as after. */
  write(folder: string, value: T): Promise<void>;
}

interface Form<T> {
  parse(bytes: Buffer): T;
  format(value: T): string | Uint8Array;
}

function file<T>(name: string, { parse, format }: Form<T>): RunFile<T> {
  const path = (folder: string): string => join(folder, name);
  return {
    name,
    in: path,
    exists: async (folder) => (await stat(path(folder)).catch(() => undefined)) !== undefined,
    async read(folder) {
      const bytes = await readFile(path(folder)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      return bytes === undefined ? undefined : parse(bytes);
    },
    write: (folder, value) => writeFileAtomically(path(folder), format(value)),
  };
}

interface JsonOptions {
  /** Spaces of an indented file. */
  readonly indent?: number;
  /** Fields that it has to have. */
  readonly fields?: readonly string[];
}

const json = <T>(name: string, { indent = 0, fields = [] }: JsonOptions = {}): RunFile<T> => {
  const damaged = (folder: string, what: string): PupilError =>
    new PupilError('bad-data', `${join(folder, name)}: ${what}; restore it, or start again in another folder`);
  const raw = file<string>(name, { parse: (bytes) => bytes.toString('utf8'), format: (text) => text });
  return {
    ...raw,
    async read(folder) {
      const text = await raw.read(folder);
      if (text === undefined) return undefined;
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch (error) {
        throw damaged(folder, `not valid JSON (${(error as Error).message})`);
      }
      const missing = fields.find((field) => (value as Record<string, unknown> | null)?.[field] === undefined);
      if (missing !== undefined) throw damaged(folder, `has no "${missing}"`);
      return value as T;
    },
    write: (folder, value) => raw.write(folder, JSON.stringify(value, null, indent) + '\n'),
  };
};

const bytes = (name: string): RunFile<Uint8Array> => file(name, { parse: (all) => all, format: (all) => all });
const text = (name: string): RunFile<string> =>
  file(name, { parse: (all) => all.toString('utf8'), format: (all) => all });

/**
 * Every file of a run folder but for its log (`metrics.jsonl` and TensorBoard's events, run.ts) and
 * its checkpoints (checkpoint.ts). A new one is a row.
 */
export const runFiles = {
  /** What the run is: written first. */
  config: json<RunConfig>('run.json', { indent: 2 }),
  /** What came out: written last, so that a run with a result is complete. */
  result: json<RunResult>('result.json', { indent: 2 }),
  report: text('report.html'),

  // A training
  model: bytes('model.onnx'),
  evaluation: json<EvaluationFile>('evaluation.json', { fields: ['perClass', 'confusion'] }),
  selection: json<SelectionFile>('selection.json', { fields: ['images'] }),
  /** Logits of what each finished fold left out. */
  folds: json<(readonly number[] | null)[]>('folds.json'),
  automatic: json<AutomaticFile>('automatic.json'),
  /** What the engine chose while it compiled: reused when the run is resumed. */
  choices: json<Readonly<Record<string, unknown>>>('choices.json', { indent: 1 }),
  /** The first batch. */
  preview: bytes('preview.png'),

  // Self-training and the ladder
  pseudoLabels: json<PseudoLabelsFile>('pseudo-labels.json'),
  rounds: json<RoundsFile>('rounds.json', { indent: 1 }),
  plan: json<LadderPlan>('plan.json', { indent: 1, fields: ['rungs'] }),
  ladder: json<LadderFile>('ladder.json', { indent: 1 }),

  // A search
  search: json<SearchFile>('search.json', { indent: 1, fields: ['cells', 'plan', 'measured'] }),
  heatMap: bytes('heat-map.png'),

  // A gap
  gap: json<GapFile>('gap.json', { fields: ['policies', 'points'] }),
  gapMap: bytes('gap.png'),
  leastCovered: text('least-covered.csv'),
} as const;
