// One engine of ours with one piece of work, as a process that measures when it is asked: node serve.js JOB, where JOB is JSON.
// It says one line of JSON when it is ready; a line {"steps": n} is answered by the milliseconds of n steps, by the clock and of the
// processor (user and system, all threads), {"memory": true} by the peak of the resident memory. It ends with its input.
import { createInterface } from 'node:readline';
import { prepareConvolution, prepareInference, prepareSession, prepareStep } from './work.js';
import { peakMemory } from '../harness/memory.js';

const job = JSON.parse(process.argv[2]);
const prepare = { step: prepareStep, inference: prepareInference, session: prepareSession, convolution: prepareConvolution }[job.work];
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

try {
  const { hello, run, close } = await prepare(job);
  say({ ready: true, ...hello });
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    if (request.memory) {
      say({ peakMegabytes: peakMemory() });
      continue;
    }
    const wall = [], processor = [];
    let value;
    for (let i = 0; i < request.steps; i++) {
      const used = process.cpuUsage(), from = performance.now();
      value = await run(request);
      wall.push(performance.now() - from);
      const { user, system } = process.cpuUsage(used);
      processor.push((user + system) / 1000);
    }
    say({ wall, processor, value });
  }
  await close();
} catch (error) {
  say({ error: error.message });
  process.exitCode = 1;
}
