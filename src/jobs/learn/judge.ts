/** Which of the rungs that were trained is kept. */
import type { Gain, PseudoLabelRound, Rung } from '../../artifact/formats.js';
import { meanInterval } from '../../evaluate/metrics.js';
import { ladder } from '../../options/recipes.js';
import { gainText } from '../../report/intervals.js';
import type { TrainOptions } from '../../runs/resolve.js';
import { pairedGain, type Stage } from '../stages.js';

/** A rung that was trained. */
export interface Trained {
  readonly name: string;
  readonly model: string;
  readonly stage: Stage;
  /** What trains it on other parts; of rounds: the consensus that they begin with. */
  readonly options?: TrainOptions | undefined;
  /** Labels that it learned from or made. */
  readonly labels?: Omit<PseudoLabelRound, 'round'> | undefined;
  /** How its labels agree with those before. */
  readonly agreement?: Gain | undefined;
}

/** Labels that are less likely than the truth by more than this have gone astray. */
const astray = 0.02;

/** Whether a rung's labels contradict those before where these are sure. */
export const isAstray = (agreed: Gain | undefined): boolean =>
  agreed?.interval !== undefined && agreed.mean + agreed.interval < -astray;

/** The widest interval that `ladder.fewLabels` labels can have: of half of them won and half lost. */
const widest = meanInterval(Array.from({ length: ladder.fewLabels }, (_, i) => (i % 2) * 2 - 1)).interval;

/**
 * Whether `after` is worse than `before` on the labels held out: beyond its interval. Of a handful any interval is so
 * wide that even guessing would pass, so it counts for no more than the widest of `ladder.fewLabels` labels, though for
 * one label, which tells nothing.
 */
function isWorse(before: Stage, after: Stage): boolean {
  const { mean, interval } = pairedGain(before.right, after.right);
  const count = [...after.right.keys()].filter((path) => before.right.has(path)).length;
  // In whole labels lost: a mean of thirds is not exact.
  return Math.round(-mean * count) > count * Math.min(interval, Math.max(widest, 1 / count));
}

const noSmaller = 'no smaller than its teacher';

/**
 * Whether a rung is kept, and why: unless it is significantly less often right on held-out images than
 * one of those before, or much less often on a handful of them, or its labels are less likely than the
 * truth would be. How sure it is of the labels held out does not count: the rounds that were refused by
 * that were right more often than what was kept in their place (docs/few-labels.md). `isSmaller`: of a student of the
 * rung below; a smaller one replaces it where it is as good within the interval, another one where it is better beyond.
 */
export function judge(
  { stage, agreement: agreed }: Trained,
  before: readonly Trained[],
  below: Trained | undefined,
  isSmaller?: boolean,
): Pick<Rung, 'gain' | 'kept' | 'reason'> {
  if (below === undefined) return { gain: undefined, kept: true, reason: 'the first rung' };
  const contradicts = isAstray(agreed);
  if (stage.right.size === 0) {
    if (isSmaller === false)
      return { gain: undefined, kept: false, reason: `${noSmaller}, and no labels are held out to show it better` };
    return contradicts
      ? { gain: undefined, kept: false, reason: 'its labels contradict those before where these are sure' }
      : { gain: undefined, kept: true, reason: 'no labels are held out to measure it on' };
  }
  const gain = pairedGain(below.stage.right, stage.right);
  const by = `${gainText(gain)} points against ${below.name}`;
  if (isSmaller) {
    const kept = !isWorse(below.stage, stage);
    return {
      gain,
      kept,
      reason: `${kept ? 'as good within the interval, and smaller' : 'loses more than its size is worth'}: ${by}`,
    };
  }
  if (isSmaller === false) {
    const kept = gain.mean - gain.interval > 0;
    return { gain, kept, reason: kept ? by : `${noSmaller}, and not better beyond the interval: ${by}` };
  }
  if (contradicts)
    return { gain, kept: false, reason: `${by}, but its labels contradict those before where these are sure` };
  const worseThan = before.find((other) => isWorse(other.stage, stage));
  if (worseThan === undefined) return { gain, kept: true, reason: by };
  const lost = pairedGain(worseThan.stage.right, stage.right);
  const than = worseThan === below ? '' : `, ${gainText(lost)} against ${worseThan.name}`;
  const worse = lost.mean + lost.interval < 0 ? 'worse on held-out images' : 'much worse on the few held-out images';
  return { gain, kept: false, reason: `${by}${than}: ${worse}` };
}
