import { start } from './child.js';
import { mean, median, round, summary } from './statistics.js';

/** How long one turn of a variant is to last, in milliseconds: short enough that a busy moment falls on all of them. */
const turn = 700;

/**
 * Measures variants of the same work in turns: a round is one turn of each. Every variant is a process of its own, started and warmed up
 * before the first round. Gives by name `{wall, processor, value, peakMegabytes, rounds...}` in milliseconds of a step, or `{error}`.
 */
export async function alternate(variants, { rounds, warmUp = 2, log = () => undefined }) {
  const results = {}, running = [];
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
        const { wall } = await child.ask({ steps: warmUp }, limits.seconds);
        const steps = Math.max(1, Math.min(8, Math.round(turn / median(wall))));
        running.push({ name, child, steps, first: first.value, wall: [], processor: [] });
        log(`  ${name}: warm, ${round(median(wall))} ms`);
      } catch (error) {
        results[name] = { error: error.message };
        log(`  ${name}: ${error.message}`);
        await child.close();
      }
    }
    for (let round = 0; round < rounds; round++) {
      for (const entry of running) {
        const { wall, processor, value } = await entry.child.ask({ steps: entry.steps });
        entry.wall.push(mean(wall));
        entry.processor.push(mean(processor));
        entry.last = value;
      }
    }
    for (const { name, child, wall, processor, first, last } of running) {
      const { peakMegabytes } = await child.ask({ memory: true });
      const { description, versions, compileSeconds } = child.hello;
      results[name] = {
        description, versions, ...(compileSeconds !== undefined && { compileSeconds: round(compileSeconds) }),
        wall: summary(wall), processor: summary(processor), rounds: { wall: wall.map(round), processor: processor.map(round) },
        peakMegabytes: Math.round(peakMegabytes), first, last,
      };
    }
  } finally {
    for (const { child } of running) await child.close();
  }
  return results;
}

/** Theirs divided by ours, round by round, so that a busy moment weighs on both sides. */
export function ratio(theirs, ours, clock = 'wall') {
  return summary(theirs.rounds[clock].map((time, i) => time / ours.rounds[clock][i]));
}

/** The name with the least median among those that were measured. */
export function fastest(results, names, clock = 'wall') {
  return names.filter((name) => results[name]?.rounds !== undefined).sort((a, b) => results[a][clock].median - results[b][clock].median)[0];
}
