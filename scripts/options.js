// docs/options.md from the tables of options (after a build); src/options/options.test.ts says when
// it is to be made again.
import { writeFileSync } from 'node:fs';
import { format, resolveConfig } from 'prettier';
import { optionsPage } from '../dist/testing/options-page.js';

const page = new URL('../docs/options.md', import.meta.url);
const config = await resolveConfig(page);
writeFileSync(page, await format(optionsPage(), { ...config, parser: 'markdown' }));
