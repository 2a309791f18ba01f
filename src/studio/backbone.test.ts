import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startHub } from '../testing/hub-server.js';
import { temporaryFolder } from '../testing/image-files.js';
import { openStudio } from '../testing/studio-client.js';
import { insects, model, skip, until } from '../testing/studio-photos.js';
import type { Assistant, Folder } from './protocol.js';

test('a backbone is fetched when the person asks, never before', { skip }, async (t) => {
  const hub = await startHub({
    'someone/net': { files: { 'onnx/model.onnx': readFileSync(model) }, tags: ['license:apache-2.0'] },
  });
  t.after(() => hub.close());
  process.env['HF_ENDPOINT'] = hub.endpoint;
  process.env['HF_HOME'] = join(await temporaryFolder(t), 'cache');
  const { window } = await openStudio(t, { folder: await insects(t, 3), model: 'hf:someone/net' });
  const folder = (): Promise<Folder> => window.get<Folder>('/api/folder');
  const { offer, backbone } = await until(folder, (one) => one.offer !== null);
  assert.equal(backbone, null);
  assert.equal(offer?.name, 'someone/net');
  assert.deepEqual(hub.log, [], 'nothing is requested unasked');
  hub.fault = 'down';
  await window.post('/api/backbone', {});
  const failed = await until(folder, (one) => one.offer !== null);
  assert.equal(failed.backbone, null, 'it can be asked for again');
  assert.match(failed.offer!.failure!, /hf:someone\/net: /, 'and one is told why');
  hub.fault = 'none';
  await window.post('/api/backbone', {});
  const there = await until(folder, (one) => one.backbone !== null);
  assert.deepEqual(there.backbone, { name: 'someone/net', licence: 'apache-2.0' });
  await until(
    () => window.get<Assistant>('/api/assistant'),
    ({ waiting }) => waiting?.startsWith('Label') === true,
  );
});
