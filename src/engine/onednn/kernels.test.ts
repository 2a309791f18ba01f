import { testRows } from '../../testing/engine-rows.js';
import { withoutDnnl } from '../../testing/onednn.js';
import { createEngine } from '../index.js';

/** Rows whose sizes depend on values. */
const elsewhere = new Set(['NonZero']);

testRows(() => createEngine('onednn', { threads: 1 }), { elsewhere, skip: withoutDnnl });
