import type { Engine, Program } from '../engine/engine.js';
import { staticDims } from '../graph/graph.js';
import { stagesOf } from '../graph/passes.js';
import type { Ranks } from '../parallel/ranks.js';
import { float32, zeros, type Tensor } from '../tensor.js';
import type { StepProgram } from './program.js';

/**
 * Compiles a program in whose middle ranks exchange (`MeanOverRanks`): one program a stage, with the exchange after
 * each. What later stages read stays in the engine's store. Without exchanges it is one program as ever.
 */
export async function compileInStages(
  engine: Engine,
  { graph, state }: Pick<StepProgram, 'graph' | 'state'>,
  ranks: Ranks,
): Promise<Program> {
  if (!graph.nodes.some(({ op }) => op === 'MeanOverRanks')) return engine.compile(graph, { state });
  const { stages, carried } = stagesOf(graph, state);
  const programs: Program[] = [];
  for (const stage of stages) programs.push(await engine.compile(stage.graph, { state: stage.state }));
  // One by one: all together they may be as large as the memory.
  for (const { name, dtype, shape } of carried) await engine.write(new Map([[name, zeros(dtype, staticDims(shape)!)]]));
  const returned = graph.outputs.filter((name) => !Object.values(state).includes(name));
  return {
    async run(feeds) {
      const values: Record<string, Tensor> = { ...feeds };
      for (const [i, stage] of stages.entries()) {
        const fed = stage.graph.inputs.filter(({ name }) => !Object.hasOwn(stage.state, name));
        const outputs = await programs[i]!.run(Object.fromEntries(fed.map(({ name }) => [name, values[name]!])));
        Object.assign(values, outputs, await meansOf(outputs, stage.exchanged, ranks));
      }
      return Object.fromEntries(returned.map((name) => [name, values[name]!]));
    },
    async close() {
      for (const program of programs) await program.close();
      await engine.remove(carried.map(({ name }) => name));
    },
  };
}

/** Means over all ranks, by their names, of outputs. */
async function meansOf(
  outputs: Readonly<Record<string, Tensor>>,
  exchanged: ReadonlyMap<string, string>,
  ranks: Ranks,
): Promise<Record<string, Tensor>> {
  const means = [...exchanged].map(([name, source]) => {
    const { dims, data } = outputs[source]!;
    return [name, float32(dims, Float32Array.from(data as Float32Array))] as const;
  });
  if (means.length > 0) await ranks.sum(means.map(([, { data }]) => data));
  for (const [, { data }] of means) for (let i = 0; i < data.length; i++) data[i] = data[i]! / ranks.size;
  return Object.fromEntries(means);
}
