/** Last layers that are solved rather than trained. */
import type { Engine } from '../engine/engine.js';
import { setHead } from '../models/head.js';
import type { Model } from '../models/model.js';
import { consensusHeadL2 } from '../options/recipes.js';
import { float32 } from '../tensor.js';
import type { Consensus } from './consensus.js';
import type { Features } from './features.js';
import { openRegression, startOf, type LinearHead } from './regression.js';

/** The model with a solved head. */
export function withHead(model: Model, head: LinearHead): Model {
  const { featureCount, classes } = model.head!;
  return setHead(model, float32([classes, featureCount], head.weight), float32([classes], head.bias));
}

/** The head that imitates the consensus, then where asked for that of each fold. */
export async function fitHeads(
  engine: Engine,
  features: Features,
  { probabilities, folds, aside }: Consensus,
  withFolds: boolean,
): Promise<LinearHead[]> {
  const count = features.features.length / features.size,
    classes = probabilities.length / count;
  const regression = await openRegression(engine, features, classes);
  const included = Float32Array.from(aside, (out) => 1 - out);
  const fit = (targets: Float32Array): Promise<LinearHead> =>
    regression.fit({ targets, included, l2: consensusHeadL2 }, startOf({ size: features.size, classes }));
  try {
    const heads: LinearHead[] = [];
    for (const targets of [probabilities, ...(withFolds ? folds : [])]) heads.push(await fit(targets));
    return heads;
  } finally {
    await regression.close();
  }
}
