// One engine of ours with one piece of work, measured when it is asked (harness/answer.js): node
// serve.js JOB, where JOB is JSON.
import { answer, say } from '../harness/answer.js';
import { prepareConvolution, prepareInference, prepareSession, prepareStep } from './work.js';

const job = JSON.parse(process.argv[2]);
const prepare = {
  step: prepareStep,
  inference: prepareInference,
  session: prepareSession,
  convolution: prepareConvolution,
}[job.work];

try {
  const { hello, run, close } = await prepare(job);
  await answer(hello, run);
  await close();
} catch (error) {
  say({ error: error.message });
  process.exitCode = 1;
}
