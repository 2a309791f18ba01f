import * as v from 'valibot';
import { row, type Transform } from '../transform.js';
import { applyMixture, describeMixture, sampleMixture, type MixDraw } from './aug-mix.js';
import { applyDrawn, describeDrawn, drawOptions, opOptions, pick, type Drawn } from './draw.js';
import { chooseOps, drawTimmOp, parseTimm } from './timm.js';

/**
 * A policy by timm's string. As in timm, each op has its probability and its noise on the
 * magnitude, and what comes from outside is grey; between pixels it is bilinear, where timm draws
 * bilinear or bicubic.
 */
export const timmAugment = row(
  v.strictObject({ config: v.string('give a timm string such as "rand-m9-n2-mstd0.5-inc1"'), ...drawOptions }),
  ({ config, ...options }): Transform<readonly Drawn[] | MixDraw> => {
    const policy = parseTimm(config);
    const how = opOptions(options, 'timm', 'bilinear');
    return {
      name: 'timmAugment',
      sample(random, size) {
        if (policy.kind === 'augmix')
          return sampleMixture(random, policy, () => drawTimmOp(random, pick(random, policy.ops), policy, size));
        const chosen = policy.kind === 'rand' ? chooseOps(random, policy) : pick(random, policy.policies);
        return chosen.flatMap((op) => drawTimmOp(random, op, policy, size));
      },
      apply: (image, drawn) => ('chains' in drawn ? applyMixture(image, drawn, how) : applyDrawn(image, drawn, how)),
      describe: (drawn) => ('chains' in drawn ? describeMixture(drawn) : describeDrawn(drawn)),
    };
  },
);
