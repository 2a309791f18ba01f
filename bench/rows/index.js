import { growthRows } from './growth.js';
import { compiledInferenceRows, inferenceRows, teacherRows } from './inference.js';
import { javascriptRows } from './javascript.js';
import { jobRows } from './jobs.js';
import { startRows } from './start.js';
import { compileRows, stepRows } from './step.js';

/**
 * Every row, in the order of the page: `measure` gives what is saved. Those that are `long` are
 * left out by --quick, those that are `named` are measured only when they are named.
 */
export const rows = [
  ...stepRows,
  ...inferenceRows,
  ...teacherRows,
  ...startRows,
  ...javascriptRows,
  ...jobRows,
  ...compileRows,
  ...compiledInferenceRows,
  ...growthRows,
];
