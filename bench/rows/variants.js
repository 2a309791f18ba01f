// The variants that rows measure, by name. A work description goes to ours/serve.js or
// peers/serve.py as it is.

const name = (precision, layout) => `torch ${precision}${layout === 'channels_last' ? ' channels_last' : ''}`;

/** PyTorch's eager variants: both layouts, both precisions. */
export function torchVariants(job) {
  return Object.fromEntries(
    ['f32', 'bf16'].flatMap((precision) =>
      ['contiguous', 'channels_last'].map((layout) => [
        name(precision, layout),
        { job: { ...job, peer: 'torch', precision, layout } },
      ]),
    ),
  );
}

/**
 * torch.compile, channels_last; its code is kept in `folder`, and what takes longer than `seconds`
 * is given up.
 */
export function compiledVariants(job, folder, seconds) {
  return Object.fromEntries(
    ['f32', 'bf16'].map((precision) => [
      `torch.compile ${precision}`,
      {
        job: { ...job, peer: 'torch', precision, layout: 'channels_last', compile: true },
        seconds,
        environment: { TORCHINDUCTOR_CACHE_DIR: folder },
      },
    ]),
  );
}

/** Our engines. */
export const ours = (job) => ({
  'pupil ort': { job: { ...job, engine: 'ort' } },
  'pupil onednn': { job: { ...job, engine: 'onednn' } },
  'pupil onednn bf16': { job: { ...job, engine: 'onednn', precision: 'bf16' } },
});

export const eager = {
  f32: [name('f32'), name('f32', 'channels_last')],
  bf16: [name('bf16'), name('bf16', 'channels_last')],
};
