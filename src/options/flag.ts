import { hyphenated } from '../augment/names.js';

/** `labelsPerClass` as the command line spells it: `--labels-per-class`. */
export const flagOf = (option: string): string => `--${hyphenated(option)}`;
