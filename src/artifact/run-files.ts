import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PupilError } from '../errors.js';
import { writeFileAtomically } from './files.js';
import type {
  AlikeFile,
  AutomaticFile,
  EvaluationFile,
  LadderFile,
  LadderPlan,
  LearnedFile,
  PseudoLabelsFile,
  RoundsFile,
  RunConfig,
  RunResult,
  SearchFile,
  SeedsFile,
  SelectionFile,
  WarningsFile,
  WorkTimeFile,
} from './formats.js';
import type { GapFile } from './gap-formats.js';
import { isTooDeep } from './nesting.js';
import type { Described } from './schemas.js';

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
  /** What it has to look like. */
  readonly schema: Described;
}

/** Bytes of the largest JSON file that is read: a million images take half of it. */
const largest = 400e6;

export const json = <T>(name: string, { indent = 0, schema }: JsonOptions): RunFile<T> => {
  const damaged = (folder: string, what: string): PupilError =>
    new PupilError('bad-data', `${join(folder, name)}: ${what}; restore it, or start again in another folder`);
  const raw = file<string>(name, { parse: (bytes) => bytes.toString('utf8'), format: (text) => text });
  return {
    ...raw,
    async read(folder) {
      const size = (await stat(raw.in(folder)).catch(() => undefined))?.size ?? 0;
      if (size > largest) throw damaged(folder, `${size} bytes are too many for this file`);
      const text = await raw.read(folder);
      if (text === undefined) return undefined;
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch (error) {
        throw damaged(folder, `not valid JSON (${(error as Error).message})`);
      }
      if (isTooDeep(value)) throw damaged(folder, 'is nested too deeply');
      if (typeof value !== 'object' || value === null) throw damaged(folder, 'holds no object');
      // Loaded where a file is read, so that the command line starts without it.
      const fault = (await import('./schemas.js')).faultOf(schema, value);
      if (fault !== undefined) throw damaged(folder, fault);
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
  config: json<RunConfig>('run.json', { schema: 'config', indent: 2 }),
  /** What came out: written last, so that a run with a result is complete. */
  result: json<RunResult>('result.json', { schema: 'result', indent: 2 }),
  report: text('report.html'),
  /** Only where there are some. */
  warnings: json<WarningsFile>('warnings.json', { schema: 'warnings', indent: 1 }),

  // A training
  model: bytes('model.onnx'),
  card: text('model-card.md'),
  evaluation: json<EvaluationFile>('evaluation.json', { schema: 'evaluation' }),
  learned: json<LearnedFile>('learned.json', { schema: 'learned' }),
  selection: json<SelectionFile>('selection.json', { schema: 'selection' }),
  /** Logits of what each finished fold left out. */
  folds: json<(readonly number[] | null)[]>('folds.json', { schema: 'folds' }),
  automatic: json<AutomaticFile>('automatic.json', { schema: 'automatic' }),
  /** Images in two splits that look alike; only where there are some. */
  alike: json<AlikeFile>('alike.json', { schema: 'alike' }),
  /** What the engine chose while it compiled: reused when the run is resumed. */
  choices: json<Readonly<Record<string, unknown>>>('choices.json', { schema: 'choices', indent: 1 }),
  /** How long a training that is not complete was at work. */
  workTime: json<WorkTimeFile>('work-time.json', { schema: 'workTime' }),
  /** The first batch. */
  preview: bytes('preview.png'),

  // Self-training and the ladder
  pseudoLabels: json<PseudoLabelsFile>('pseudo-labels.json', { schema: 'pseudoLabels' }),
  rounds: json<RoundsFile>('rounds.json', { schema: 'rounds', indent: 1 }),
  plan: json<LadderPlan>('plan.json', { schema: 'plan', indent: 1 }),
  ladder: json<LadderFile>('ladder.json', { schema: 'ladder', indent: 1 }),
  seeds: json<SeedsFile>('seeds.json', { schema: 'seeds', indent: 1 }),

  // A search
  search: json<SearchFile>('search.json', { indent: 1, schema: 'search' }),
  heatMap: bytes('heat-map.png'),

  // A gap
  gap: json<GapFile>('gap.json', { schema: 'gap' }),
  gapMap: bytes('gap.png'),
  leastCovered: text('least-covered.csv'),
} as const;
