import { compileRows, stepRows } from './step.js';

/** Every row, in the order of the page: `measure` gives what is saved; those that are `long` are left out by --quick. */
export const rows = [...stepRows, ...compileRows];
