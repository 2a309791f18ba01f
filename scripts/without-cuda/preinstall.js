// Keeps Pupil's own copy of onnxruntime-node from downloading CUDA libraries, which fails where the
// download's host cannot be reached. Its install script leaves out what is there already, so
// placeholders are put where the libraries would go.
// docs/installing.md says why it is done like this. Never fails: without placeholders there is a download, no more.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const text = 'A placeholder by Pupil, which does not use CUDA: see docs/installing.md in its package.\n';
/** What asks onnxruntime-node for a download, or not, in so many words: Pupil stays out of it. */
const wishes = [
  'ONNXRUNTIME_NODE_INSTALL',
  'ONNXRUNTIME_NODE_INSTALL_CUDA',
  'npm_config_onnxruntime_node_install',
  'npm_config_onnxruntime_node_install_cuda',
];

try {
  const require = createRequire(import.meta.url);
  const folder = dirname(require.resolve('pupil-onnxruntime/package.json'));
  const { requirements, manifests } = require('pupil-onnxruntime/script/install-metadata.js');
  const platform = `${process.platform}/${process.arch}`;
  const downloads = wishes.some((name) => process.env[name]) ? [] : (requirements[platform] ?? []);
  for (const name of downloads) {
    for (const file of Object.keys(manifests[`${platform}:${name}`])) {
      try {
        writeFileSync(join(folder, 'bin/napi-v6', platform, file), text, { flag: 'wx' });
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
    }
  }
} catch (error) {
  // Before the packages of a clone are there, as npm 12 does it, there is nothing to do.
  if (error.code !== 'MODULE_NOT_FOUND') console.error(`pupil: onnxruntime-node may download CUDA: ${error.message}`);
}
