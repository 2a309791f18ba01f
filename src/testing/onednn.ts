import { loadDnnl } from '../engine/onednn/library.js';

/** Why tests of the oneDNN engine are skipped, or false where the library is there. */
export const withoutDnnl: string | false = (() => {
  try {
    loadDnnl();
    return false;
  } catch {
    return 'needs oneDNN (libdnnl2)';
  }
})();
