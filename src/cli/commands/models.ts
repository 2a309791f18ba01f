import { builtInModels } from '../../models/families/index.js';
import type { CommonOptions } from '../options.js';
import type { InspectOptions } from '../program.js';
import { present, refuseExisting } from '../result.js';
import { compact, facts, printable, table } from '../table.js';
import type { Terminal } from '../terminal.js';
