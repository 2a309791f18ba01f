import { PupilError } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import { float32, type Tensor } from '../../tensor.js';
import { createEmitter } from './emitter.js';
import type { Sized } from './sized.js';
import type { Connection } from '../thread/connect.js';
import type { Request } from './protocol.js';
import type { Choices } from './lowering.js';
import { filterGradientMethods, type Convolution, type FilterGradientMethod } from './lowerings/convolution.js';
import { suitsBanks } from './lowerings/filter-banks.js';
import { blockedConvolution, toBlocked, toPlain } from './lowerings/blocked.js';

export type OpenProgram = (graph: Graph, state: Readonly<Record<string, null>>, inference: boolean) => Promise<number>;

/**
 * Choices of an earlier run, completed by what is found here. Throws `unsupported` when this
 * machine lacks what they name.
 */
export async function createChoices(
  earlier: Readonly<Record<string, unknown>>,
  connection: Connection<Request>,
  open: OpenProgram,
): Promise<Choices> {
  const block = await findBlock(earlier['block'], connection, open);
  const recorded: Record<string, unknown> = { ...earlier, block };
  const forced = filterGradientMethods.find((method) => method === earlier['filterGradient']);
  return {
    recorded,
    block,
    filterGradient: (c) => forced ?? byShape(c, block),
  };
}

/** The choices for graphs whose layout is left to onnxruntime. */
export const withoutBlocks = (choices: Choices): Choices => ({ ...choices, block: 0 });

/**
 * Blocked convolutions are fastest. In products few pixels a sample are slow: one over all samples,
 * then.
 */
function byShape(c: Convolution, block: number): FilterGradientMethod {
  if (suitsBanks(c, block)) return 'banks';
  return c.output[0] * c.output[1] <= 256 ? 'rows' : 'samples';
}

async function findBlock(earlier: unknown, connection: Connection<Request>, open: OpenProgram): Promise<0 | 8 | 16> {
  if (earlier === 0) return 0;
  for (const block of [16, 8] as const) {
    if (earlier !== undefined && earlier !== block) continue;
    if (await blockWorks(block, connection, open)) return block;
    if (earlier !== undefined) {
      throw new PupilError(
        'unsupported',
        `this run used blocks of ${block} channels, which this processor does not have: ` +
          'resume it on a machine like the first, or start a new run',
      );
    }
  }
  return 0;
}

/**
 * Whether a small blocked convolution gives the right numbers: sessions with another block size
 * fail or compute nonsense.
 */
async function blockWorks(block: 8 | 16, connection: Connection<Request>, open: OpenProgram): Promise<boolean> {
  const channels = 2 * block;
  const inputs: Sized[] = [
    { name: 'x', dtype: 'float32', shape: [1, channels, 2, 2] },
    { name: 'w', dtype: 'float32', shape: [channels, channels, 1, 1] },
  ];
  const e = createEmitter({
    name: 'blocks',
    inputs,
    outputs: [],
    nodes: [],
    constants: new Map(),
    values: new Map(inputs.map((input) => [input.name, input])),
  });
  const [x, w] = inputs as [Sized, Sized];
  const y = toPlain(
    e,
    blockedConvolution(
      e,
      toBlocked(e, x, block),
      { w },
      {
        batch: 1,
        inputChannels: channels,
        outputChannels: channels,
        group: 1,
        input: [2, 2],
        output: [2, 2],
        kernel: [1, 1],
        strides: [1, 1],
        dilations: [1, 1],
        before: [0, 0],
        after: [0, 0],
      },
      { kind: 'dense', block },
    )({}),
    channels,
  );
  const z = e.sum(y, [0]);
  // x counts up; the filters take every channel from three before it
  const from = (channel: number): number => (channel + channels - 3) % channels;
  const feeds: Record<string, Tensor> = {
    x: float32(
      x.shape,
      Float32Array.from({ length: channels * 4 }, (_, i) => i),
    ),
    w: float32(
      w.shape,
      Float32Array.from({ length: channels * channels }, (_, i) =>
        i % channels === from(Math.floor(i / channels)) ? 1 : 0,
      ),
    ),
  };
  try {
    const program = await open(e.build(inputs, [z.name]), {}, false);
    const outputs = await connection.call<Record<string, Tensor>>({ kind: 'run', program, feeds });
    await connection.call({ kind: 'release', program });
    return Array.from(Object.values(outputs)[0]!.data, Number).every(
      (value, i) => value === from(Math.floor(i / 4)) * 4 + (i % 4),
    );
  } catch {
    return false;
  }
}
