// The other end of harness/child.js: a process with one piece of work, measured when it is asked.
// It says one line of JSON when it is ready; a line {"steps": n} is answered by the milliseconds of
// n steps, by the clock and of the processor (user and system, all threads), and {"memory": true}
// by the peak of the resident memory. It ends with its input.
import { createInterface } from 'node:readline';
import { peakMemory } from './memory.js';

export const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

/** Says hello, then measures `run` until the input ends. */
export async function answer(hello, run) {
  say({ ready: true, ...hello });
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    if (request.memory) {
      say({ peakMegabytes: peakMemory() });
      continue;
    }
    const wall = [],
      processor = [];
    let value;
    for (let i = 0; i < request.steps; i++) {
      const used = process.cpuUsage(),
        from = performance.now();
      value = await run(request);
      wall.push(performance.now() - from);
      const { user, system } = process.cpuUsage(used);
      processor.push((user + system) / 1000);
    }
    say({ wall, processor, value });
  }
}
