import { loadDnnl } from '../engine/onednn/library.js';
import { hasBfloat16 } from '../engine/onednn/precision.js';

/** Why tests of the oneDNN engine are skipped, or false where the library is there; the same of those in bfloat16. */
export const [withoutDnnl, withoutBfloat16] = ((): readonly [string | false, string | false] => {
  let loaded;
  try {
    loaded = loadDnnl();
  } catch {
    const reason = 'needs oneDNN (libdnnl2)';
    return [reason, reason];
  }
  return [false, hasBfloat16(loaded.dnnl) ? false : 'hardware: needs a processor with avx512_bf16 or AMX'];
})();

/** Choices of an engine in bfloat16 that make everything so that may be: small values, and convolutions that are faster in float32. */
export const allBfloat16 = { bfloat16From: 1, convolutions: 'bfloat16' } as const;
