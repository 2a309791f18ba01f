// What the page needs of Pupil, in one file.
export { loadModel } from '../dist/web.js';
