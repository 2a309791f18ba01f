import { start } from './child.js';
import { watchOthers } from './others.js';
import { mean, median, round, summary } from './statistics.js';

/**
 * How long one turn of a variant is to last, in milliseconds: short enough that a busy moment falls
 * on all of them.
 */
const turn = 700;
/**
 * A step of more than this many milliseconds of the processor is warm after one, and measured in
 * the first round only.
 */
const slow = 5000;
/**
 * A round in which other work took more than this share of the processors in some turn is repeated,
 * for at most `patience` seconds.
 */
const disturbed = 0.12,
  patience = 40;

/**
 * Measures variants of the same work in turns: a round is one turn of each. Every variant is a
 * process of its own, started and warmed up before the first round. Gives by name `{wall,
 * processor, least, peakMegabytes, rounds...}` in milliseconds of a step (`least`: the fastest
 * single step of all), or `{error}`, and how many of the rounds that count were calm: all, unless
 * the machine was busy all the time.
 */
export async function alternate(variants, { rounds, warmUp = 2, log = () => undefined }) {
  const results = {},
    running = [];
  try {
    for (const [name, { job, ...limits }] of Object.entries(variants)) {
      const child = await start(job, limits);
      if (child.error !== undefined) {
        log(`  ${name}: ${child.error}`);
        results[name] = { error: child.error };
        continue;
      }
      try {
        const first = await child.ask({ steps: 1 }, limits.seconds);
        const isSlow = first.processor[0] > slow;
        const { wall } = isSlow ? first : await child.ask({ steps: warmUp }, limits.seconds);
        const steps = Math.max(1, Math.min(20, Math.round(turn / median(wall))));
        running.push({ name, child, steps, isSlow, first: first.value, turns: [] });
        log(`  ${name}: warm, ${round(median(wall))} ms`);
      } catch (error) {
        results[name] = { error: error.message };
        log(`  ${name}: ${error.message}`);
        await child.close();
      }
    }
    const { kept, calm } = await takeTurns(running, rounds);
    log(`  ${kept.length} rounds, ${calm} of them calm`);
    for (const { name, child, first, last, turns } of running) {
      const { peakMegabytes } = await child.ask({ memory: true });
      const { description, versions, compileSeconds } = child.hello;
      // Slow ones have their one turn only.
      const chosen = kept.map((number) => turns[number]).filter(Boolean);
      const own = chosen.length > 0 ? chosen : [turns[0]];
      const times = (clock) => own.map((one) => round(one[clock]));
      results[name] = {
        description,
        versions,
        ...(compileSeconds !== undefined && { compileSeconds: round(compileSeconds) }),
        wall: summary(times('wall')),
        processor: summary(times('processor')),
        rounds: { wall: times('wall'), processor: times('processor') },
        least: round(Math.min(...turns.map(({ least }) => least))),
        peakMegabytes: Math.round(peakMegabytes),
        first,
        last,
      };
    }
    return {
      variants: Object.fromEntries(Object.keys(variants).map((name) => [name, results[name]])),
      calm: { rounds: kept.length, calm },
    };
  } finally {
    for (const { child } of running) await child.close();
  }
}

/**
 * Fills `turns` of each; gives the numbers of the rounds that count and how many of these were
 * calm.
 */
async function takeTurns(running, rounds) {
  const shares = [],
    from = performance.now();
  const impatient = () => performance.now() - from > 1000 * patience;
  while (shares.length < rounds || (shares.filter((share) => share <= disturbed).length < rounds && !impatient())) {
    let worst = 0;
    for (const entry of running) {
      if (entry.isSlow && shares.length > 0) continue;
      const others = watchOthers();
      const { wall, processor, value } = await entry.child.ask({ steps: entry.steps });
      worst = Math.max(worst, others(processor.reduce((sum, x) => sum + x, 0)));
      entry.turns.push({ wall: mean(wall), processor: mean(processor), least: Math.min(...wall) });
      entry.last = value;
    }
    shares.push(worst);
  }
  // The calmest ones, in the order of time.
  const kept = shares
    .map((share, i) => ({ share, i }))
    .sort((a, b) => a.share - b.share || a.i - b.i)
    .slice(0, rounds)
    .map(({ i }) => i)
    .sort((a, b) => a - b);
  return { kept, calm: kept.filter((i) => shares[i] <= disturbed).length };
}

/** Theirs divided by ours, round by round, so that a busy moment weighs on both sides. */
export function ratio(theirs, ours, clock = 'wall') {
  return summary(ours.rounds[clock].map((time, i) => (theirs.rounds[clock][i] ?? theirs.rounds[clock][0]) / time));
}

/** The name with the least median among those that were measured. */
export function fastest(results, names, clock = 'wall') {
  return names
    .filter((name) => results[name]?.rounds !== undefined)
    .sort((a, b) => results[a][clock].median - results[b][clock].median)[0];
}
