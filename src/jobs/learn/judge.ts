/** Which of the rungs that were trained is kept. */
import type { Gain, PseudoLabelRound, Rung } from '../../artifact/formats.js';
import { effectiveCount, meanInterval } from '../../evaluate/metrics.js';
import { ladder } from '../../options/recipes.js';
import { gainText } from '../../report/intervals.js';
import type { TrainOptions } from '../../runs/resolve.js';
import { stageGain, type Stage } from '../stages.js';

/** A rung that was trained. */
export interface Trained {
  readonly name: string;
  readonly model: string;
  readonly stage: Stage;
  /** Seconds of this session in which images were decoded and compared, which no rung after it has to do again. */
  readonly imageSeconds?: number | undefined;
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
 * one label with its copies, which tells nothing.
 */
function isWorse(before: Stage, after: Stage): boolean {
  const { mean, interval } = stageGain(before, after);
  const both = [...after.right.keys()].filter((path) => before.right.has(path)),
    count = both.length,
    independent = effectiveCount(both.map((path) => after.groups.get(path)));
  // In whole labels lost: a mean of thirds is not exact.
  return Math.round(-mean * count) > count * Math.min(interval, Math.max(widest, 1 / independent));
}

/**
 * What a rung has to show on held-out labels to be kept:
 *
 *   - `no loss`: what is known to help. It is right at least as often as the rung below, or not significantly less
 *     often than any of those before. So none is refused beside one that is kept and no better, and many small losses
 *     do not add up.
 *   - `no loss when taught`: the same of what trains layers for a time of its own; one that had time for few of its
 *     usual steps has to be right more often beyond the interval. FixMatch was kept with one of 20, and was the model;
 *     and from scratch with 18 of 155, as often right on 21 held-out labels as labels alone: 52.3 and 61.2% on 600
 *     images never seen (three classes of CIFAR-10, 20 labels of each).
 *   - `no less often when taught`: a round from scratch, which adds little. It is right at least as often; with few
 *     of its steps, more often beyond the interval. On four classes of CIFAR-10, 25 labels of each, one of 24 steps
 *     that was 9.1 points worse within the interval was the model: 45.0% on images never seen, where labels alone had
 *     given 55.2%.
 *   - `as good`: a smaller network. It is not significantly less often right than what taught it, when taught. Twenty
 *     held-out labels found one of 16 steps as often right as its teacher that was 6.5 points worse on 153 photos never
 *     seen (ants and bees, seed 0).
 *   - `better`: a student that is no smaller than what taught it. It is right more often beyond the interval.
 *   - `better from labels alone`: a technique that knows less than the rungs below. It is right more often beyond the
 *     interval; one of twenty labels more was kept once, and was 3 points worse on photos never seen.
 */
export type Bar =
  'no loss' | 'no loss when taught' | 'no less often when taught' | 'as good' | 'better' | 'better from labels alone';

/** Whether a training had time for so few of its usual steps that few labels cannot vouch for it. */
export const isUntaught = ({ completed = 1 }: Stage): boolean => completed < ladder.taughtSteps;

/** What is said of a rung that has to be better beyond the interval, before that; undefined: it need not be. */
function shortOf(bar: Bar, stage: Stage): string | undefined {
  if (bar === 'better') return 'no smaller than its teacher, and ';
  if (bar === 'better from labels alone') return '';
  const isShort = bar !== 'no loss' && isUntaught(stage);
  return isShort ? `had time for ${percent(stage.completed!)} of its usual steps, and ` : undefined;
}

/** In two digits: `0.43%`, `8.3%`, `36%`. */
export const percent = (share: number): string => `${Number((100 * share).toPrecision(2))}%`;

/** What is judged, and what it is measured against. */
export interface Judged {
  readonly trained: Trained;
  /** All that were trained before. */
  readonly before: readonly Trained[];
  /** The one that is kept so far, or of a student the one that taught it; undefined: none. */
  readonly below: Trained | undefined;
  /** Default: `no loss`. */
  readonly bar?: Bar | undefined;
}

type Judgement = Pick<Rung, 'gain' | 'kept' | 'reason'>;

/**
 * Whether a rung is kept, and why: unless it falls short of its bar, or its labels are less likely than the truth would
 * be. How sure it is of the labels held out does not count: the rounds that were refused by that were right more often
 * than what was kept in their place (docs/few-labels.md).
 */
export function judge({ trained, before, below, bar = 'no loss' }: Judged): Judgement {
  if (below === undefined) return { gain: undefined, kept: true, reason: 'the first technique' };
  const { stage } = trained,
    contradicts = bar !== 'as good' && isAstray(trained.agreement),
    short = shortOf(bar, stage);
  if (stage.right.size === 0) return unmeasured(short, contradicts);
  const gain = stageGain(below.stage, stage);
  const by = `${gainText(gain)} points against ${below.name}`;
  if (short !== undefined) {
    const kept = gain.mean - gain.interval > 0,
      than = bar === 'better from labels alone' ? ' than what learned from all images' : '',
      more = bar === 'as good' ? '; `resume` with more `minutes` teaches it anew' : '';
    return { gain, kept, reason: kept ? by : `${short}not better beyond the interval${than}: ${by}${more}` };
  }
  if (bar === 'as good') {
    const kept = !isWorse(below.stage, stage);
    return {
      gain,
      kept,
      reason: `${kept ? 'as good within the interval, and smaller' : 'loses more than its size is worth'}: ${by}`,
    };
  }
  if (contradicts)
    return { gain, kept: false, reason: `${by}, but its labels contradict those before where these are sure` };
  if (bar === 'no less often when taught' && gain.mean < 0)
    return { gain, kept: false, reason: `${by}: right less often on held-out images` };
  const worseThan = gain.mean < 0 ? before.find((other) => isWorse(other.stage, stage)) : undefined;
  if (worseThan === undefined) return { gain, kept: true, reason: by };
  const lost = stageGain(worseThan.stage, stage);
  const than = worseThan === below ? '' : `, ${gainText(lost)} against ${worseThan.name}`;
  const worse = lost.mean + lost.interval < 0 ? 'worse on held-out images' : 'much worse on the few held-out images';
  return { gain, kept: false, reason: `${by}${than}: ${worse}` };
}

/** Where no labels are held out: what would have to be better is not kept. */
function unmeasured(short: string | undefined, contradicts: boolean): Judgement {
  if (short !== undefined)
    return { gain: undefined, kept: false, reason: `${short}no labels are held out to show it better` };
  return contradicts
    ? { gain: undefined, kept: false, reason: 'its labels contradict those before where these are sure' }
    : { gain: undefined, kept: true, reason: 'no labels are held out to measure it on' };
}
