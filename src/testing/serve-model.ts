/** A small network in a file, an image, and what it says of it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { exportModel } from '../artifact/export.js';
import type { Prediction } from '../evaluate/classifier.js';
import { loadModel } from '../evaluate/load.js';
import { buildModel } from '../models/index.js';
import { temporaryFolder, writeTree } from './image-files.js';

export async function smallClassifier(
  t: TestContext,
): Promise<{ readonly run: string; readonly image: string; readonly expected: Prediction }> {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { 'image.png': 5 });
  const [run, image] = [join(folder, 'model.onnx'), join(folder, 'image.png')];
  await writeFile(run, exportModel(buildModel('resnet8', { labels: ['cat', 'dog', 'bird'], seed: 3 }), {}));
  const classifier = await loadModel(run);
  try {
    return { run, image, expected: await classifier.predict(image) };
  } finally {
    await classifier.close();
  }
}
