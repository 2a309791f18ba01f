// One 3x3 convolution of 64 channels, 32x32, batch 8, and its two gradients, against other
// libraries that compute in JavaScript's reach. Ours goes through the Engine: copies to its thread
// and back are part of it.
import { alternate, fastest, ratio } from '../harness/alternate.js';

const shape = { batch: 8, channels: 64, size: 32 };
const parts = { forward: 'forward', input: 'gradient of the input', weight: 'gradient of the weight' };
/** Multiply-adds count as 2. */
const gigaflops = (2 * shape.batch * shape.size ** 2 * shape.channels ** 2 * 9) / 1e9;

export const javascriptRows = Object.entries(parts).map(([part, title]) => ({
  name: `javascript-${part}`,
  group: 'javascript',
  title: `3x3 convolution, ${title}`,
  async measure({ rounds, threads, log }) {
    const job = { work: 'convolution', ...shape, part, threads };
    const { variants, calm } = await alternate(
      {
        'pupil ort': { job: { ...job, engine: 'ort' } },
        'pupil onednn': { job: { ...job, engine: 'onednn' } },
        ...Object.fromEntries(
          ['tfjs wasm', 'tfjs cpu', 'jax-js'].map((library) => [
            library,
            { job: { ...job, peer: 'javascript', library } },
          ]),
        ),
      },
      { rounds, log },
    );
    const mine = fastest(variants, ['pupil ort', 'pupil onednn']);
    const comparisons = ['tfjs wasm', 'tfjs cpu', 'jax-js'].map((theirs) => {
      const missing = variants[theirs].error ?? (mine === undefined ? 'ours could not be measured' : undefined);
      return {
        ours: mine,
        theirs,
        ...(missing === undefined
          ? {
              ratio: ratio(variants[theirs], variants[mine]),
              processorRatio: ratio(variants[theirs], variants[mine], 'processor'),
            }
          : { missing }),
      };
    });
    return { title, gigaflops, calm, variants, comparisons };
  },
}));
