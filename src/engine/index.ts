import { PupilError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import type { Engine, EngineOptions } from './engine.js';
import { advice } from './onednn/library/advice.js';
import { createOrtEngine } from './ort/index.js';

export type { CompileOptions, Engine, EngineOptions, Precision, Program } from './engine.js';

/** Engines that the command line knows by name. */
export const engineNames = ['auto', 'ort', 'onednn', 'webgpu', 'cuda', 'coreml', 'dml'] as const;
export type EngineName = (typeof engineNames)[number] | 'reference';

const planned: Readonly<Record<string, string>> = {
  cuda: 'CUDA',
  coreml: 'CoreML',
  dml: 'DirectML',
};

export type Purpose = 'training' | 'evaluation' | 'prediction';

export interface EngineRequest extends EngineOptions {
  /**
   * What the engine is for (default training): `auto` trains on oneDNN where its library is found,
   * and runs models over many images there (`evaluation`); a few images (`prediction`) are for
   * onnxruntime, which is ready sooner for a new size of the batch.
   */
  readonly purpose?: Purpose;
  /**
   * The graphs that will be trained; one with a node that oneDNN lacks makes `auto` take
   * onnxruntime, and `onednn` an error.
   */
  readonly graphs?: () => readonly Graph[];
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
 * `PUPIL_ONEDNN` names) and has what the graphs need, else onnxruntime on the CPU; `reference` is
 * the slow one in plain TypeScript. Throws `unsupported` for an engine that is not here, that lacks
 * an op of the graphs or that comes with a later version, and `usage` for unknown names and for
 * bfloat16 where it cannot be.
 */
export async function openEngine(name: string, options: EngineRequest = {}): Promise<Opened> {
  if (name === 'auto') return openAutomatically(options);
  if (options.precision === 'bf16' && (name === 'ort' || name === 'webgpu')) {
    throw new PupilError(
      'usage',
      `--engine ${name} --precision bf16: ${needsForHalf}; leave --precision out, or use f32`,
    );
  }
  if (name === 'ort') return named(await createOrtEngine(options));
  if (name === 'reference') return named((await import('./reference/index.js')).createReferenceEngine(options));
  if (name === 'onednn') {
    const lack = await lackIn(options);
    if (lack) throw new PupilError('unsupported', `--engine onednn: ${lack}; use --engine ort`);
    return named(await openDnnl(options));
  }
  if (name === 'webgpu')
    return named(await (await import('./ort/providers/webgpu/index.js')).createWebgpuEngine(options));
  const library = planned[name];
  if (library) {
    throw new PupilError(
      'unsupported',
      `--engine ${name}: this version does not train on ${library} yet; use --engine webgpu (a GPU through Vulkan, Direct3D 12 or Metal) or auto (the CPU)`,
    );
  }
  throw new PupilError('usage', `--engine ${name}: unknown engine; one of ${engineNames.join(', ')}`);
}

const named = (engine: Engine): Opened => ({ engine, line: engine.description });
const needsForHalf = 'bfloat16 needs the oneDNN engine and a processor with avx512_bf16 or AMX';

const openDnnl = async (options: EngineRequest): Promise<Engine> =>
  (await import('./onednn/index.js')).createDnnlEngine(options);

/** Why oneDNN should not train these graphs, if it should not. */
async function lackIn({ graphs }: EngineRequest): Promise<string | undefined> {
  if (!graphs) return undefined;
  const { lackOf } = await import('./onednn/support.js');
  for (const graph of graphs()) {
    const lack = lackOf(graph);
    if (lack) return lack.message;
  }
  return undefined;
}

async function openAutomatically(options: EngineRequest): Promise<Opened> {
  const { purpose = 'training', precision } = options;
  if (purpose === 'prediction') return named(await createOrtEngine(options));
  const onOrt = async (why: string): Promise<Opened> => {
    if (precision === 'bf16') throw new PupilError('unsupported', `--precision bf16: ${needsForHalf}; ${why}`);
    const engine = await createOrtEngine(options);
    return { engine, line: `${engine.description}; ${why}` };
  };
  // oneDNN's fast code is generated for x86; elsewhere it may be slower than onnxruntime
  if (process.arch !== 'x64' && precision !== 'bf16') return named(await createOrtEngine(options));
  let engine: Engine;
  try {
    engine = await openDnnl(options);
  } catch (error) {
    if (!(error instanceof PupilError && error.code === 'unsupported') || error.message.startsWith('--precision'))
      throw error; // a processor without bfloat16
    return onOrt(advice());
  }
  const lack = await lackIn(options);
  if (lack === undefined) return named(engine);
  await engine.close();
  return onOrt(lack);
}
