import { testNetworks } from '../../../../testing/networks.js';
import { withoutWebgpu } from '../../../../testing/webgpu.js';
import { createEngine } from '../../../index.js';

testNetworks(' on WebGPU', [() => createEngine('webgpu')], { skip: withoutWebgpu });
