/** What a model is taken away as, for the command line and the studio. */
export { originsOf } from '../../models/licence.js';
export { hubFiles } from './hub-files.js';
export { quantizedOn } from './quantized.js';
export { webFiles } from './web-files.js';
export { zipped } from './zip.js';
