import { testNetworks } from '../../testing/networks.js';
import { createOrtEngine } from './index.js';

testNetworks(
  ', blocked and plain',
  [{}, { block: 0 }].map((choices) => () => createOrtEngine({ threads: 1, choices })),
);
