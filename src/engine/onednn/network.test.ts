import { testNetworks } from '../../testing/networks.js';
import { withoutDnnl } from '../../testing/onednn.js';
import { createDnnlEngine } from './index.js';

testNetworks(
  '',
  [1, 2].map((threads) => () => createDnnlEngine({ threads })),
  { skip: withoutDnnl },
);
