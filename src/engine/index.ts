import { PupilError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import type { Engine, EngineOptions } from './engine.js';
import { advice } from './onednn/library/advice.js';

export type { CompileOptions, Engine, EngineOptions, Precision, Program } from './engine.js';

/** A library that computes: a row of `engines`. Its code is loaded when it is opened. */
interface EngineRow {
  /** Starts it. Throws `unsupported` where the machine lacks what it takes. */
  open(options: EngineOptions): Promise<Engine>;
  /** Whether it can compute in bfloat16, on a processor that has it. */
  readonly hasBfloat16: boolean;
  /** For tests: users are not offered it. */
  readonly isHidden?: true;
  /** Why a graph should run elsewhere, told without the library; left out where it runs everything. */
  lackOf?(graph: Graph): Promise<string | undefined>;
}

/** Every engine by the name that `engine` takes. */
export const engines = {
  /** onnxruntime on the CPU. */
  ort: {
    open: async (options) => (await import('./ort/index.js')).createOrtEngine(options),
    hasBfloat16: false,
  },
  /** The system's oneDNN, on the CPU. */
  onednn: {
    open: async (options) => (await import('./onednn/index.js')).createDnnlEngine(options),
    hasBfloat16: true,
    lackOf: async (graph) => (await import('./onednn/support.js')).lackOf(graph)?.message,
  },
  /** onnxruntime on a GPU. */
  webgpu: {
    open: async (options) => (await import('./ort/providers/webgpu/index.js')).createWebgpuEngine(options),
    hasBfloat16: false,
  },
  /** Plain TypeScript: what every op means, slowly. */
  reference: {
    open: async (options) => (await import('./reference/index.js')).createReferenceEngine(options),
    hasBfloat16: false,
    isHidden: true,
  },
} as const satisfies Readonly<Record<string, EngineRow>>;

export type EngineName = keyof typeof engines | 'auto';

/** What a user chooses from. */
export const engineNames: readonly EngineName[] = [
  'auto',
  ...(Object.keys(engines) as (keyof typeof engines)[]).filter((name) => !('isHidden' in engines[name])),
];

/** What an engine is for. */
export type Purpose = 'training' | 'evaluation' | 'prediction';

export interface EngineRequest extends EngineOptions {
  /**
   * What the engine is for (default training): `auto` trains on oneDNN where its library is found,
   * and runs models over many images there (`evaluation`); a few images (`prediction`) are for
   * onnxruntime, which is ready sooner for a new size of the batch.
   */
  readonly purpose?: Purpose | undefined;
  /**
   * The graphs that will be trained; one with a node that oneDNN lacks makes `auto` take
   * onnxruntime, and `onednn` an error.
   */
  readonly graphs?: (() => readonly Graph[]) | undefined;
}

/** What a run was computed on, as `run.json` has it. */
export interface RanOn {
  readonly name: string;
  readonly precision: 'f32' | 'bf16';
}

/**
 * An engine, and one line for people: which it is and, where `auto` could not take the faster one,
 * why or how to get it.
 */
export interface Opened {
  readonly engine: Engine;
  readonly line: string;
}

/** Starts an engine: `openEngine` without its line. */
export async function createEngine(name: string, options: EngineRequest = {}): Promise<Engine> {
  return (await openEngine(name, options)).engine;
}

/**
 * Starts an engine. `auto` is oneDNN where the library is found (the system's, or the one that
 * `PUPIL_ONEDNN` names) and has what the graphs need, else onnxruntime on the CPU. Throws
 * `unsupported` for an engine that is not here or that lacks an op of the graphs, and `usage` for
 * unknown names and for bfloat16 where it cannot be.
 */
export async function openEngine(name: string, options: EngineRequest = {}): Promise<Opened> {
  if (name === 'auto') return openAutomatically(options);
  if (!Object.hasOwn(engines, name)) {
    throw new PupilError('usage', `\`engine: ${name}\`: unknown; choose one of ${engineNames.join(', ')}`, {
      option: 'engine',
    });
  }
  const row: EngineRow = engines[name as keyof typeof engines];
  if (options.precision === 'bf16' && !row.hasBfloat16) {
    throw new PupilError(
      'usage',
      `\`engine: ${name}\` computes in float32 only: ${needsForHalf}; leave \`precision\` out, or use f32`,
      { option: 'precision' },
    );
  }
  const lack = await lackIn(row, options);
  if (lack !== undefined) throw new PupilError('unsupported', `${lack}; use \`engine: ort\``, { option: 'engine' });
  const engine = await row.open(options);
  return { engine, line: engine.description };
}

const needsForHalf = 'bfloat16 needs the oneDNN engine and a processor with avx512_bf16 or AMX';

/** Why an engine should not run these graphs, if it should not. */
async function lackIn(row: EngineRow, { graphs }: EngineRequest): Promise<string | undefined> {
  if (!graphs || !row.lackOf) return undefined;
  for (const graph of graphs()) {
    const lack = await row.lackOf(graph);
    if (lack !== undefined) return lack;
  }
  return undefined;
}

async function openAutomatically(options: EngineRequest): Promise<Opened> {
  const { purpose = 'training', precision } = options;
  const onOrt = async (why?: string): Promise<Opened> => {
    if (precision === 'bf16' && why !== undefined)
      throw new PupilError('unsupported', `${needsForHalf}; ${why}`, { option: 'precision' });
    const engine = await engines.ort.open(options);
    return { engine, line: why === undefined ? engine.description : `${engine.description}; ${why}` };
  };
  // oneDNN's fast code is generated for x86; elsewhere it may be slower than onnxruntime
  const isSlower = process.arch !== 'x64' && precision !== 'bf16';
  if (purpose === 'prediction' || isSlower) return onOrt();
  let engine: Engine;
  try {
    engine = await engines.onednn.open(options);
  } catch (error) {
    const isAbsent = error instanceof PupilError && error.code === 'unsupported' && error.option === 'engine';
    if (!isAbsent) throw error; // a processor without bfloat16, for one
    return onOrt(advice());
  }
  const lack = await lackIn(engines.onednn, options);
  if (lack === undefined) return { engine, line: engine.description };
  await engine.close();
  return onOrt(lack);
}
