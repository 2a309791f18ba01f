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

/** Heads that imitate what a consensus says, [count, classes] each, on the images that are not set aside. */
export async function fitHeads(
  engine: Engine,
  features: Features,
  all: readonly Float32Array[],
  aside: Consensus['aside'],
): Promise<LinearHead[]> {
  const classes = all[0]!.length / aside.length;
  const regression = await openRegression(engine, features, classes);
  const included = Float32Array.from(aside, (out) => 1 - out);
  const fit = (targets: Float32Array): Promise<LinearHead> =>
    regression.fit({ targets, included, l2: consensusHeadL2 }, startOf({ size: features.size, classes }));
  try {
    const heads: LinearHead[] = [];
    for (const targets of all) heads.push(await fit(targets));
    return heads;
  } finally {
    await regression.close();
  }
}
