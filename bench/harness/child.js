import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The Python that has the peers: $PUPIL_PEERS, else python3. */
export const python = process.env.PUPIL_PEERS ?? 'python3';

/**
 * PyTorch's threads spin while they wait, which starves them next to other work; --passive lets
 * them sleep.
 */
export const passive = { OMP_WAIT_POLICY: 'PASSIVE' };
let torchEnvironment = {};
export const letTorchSleep = () => {
  torchEnvironment = passive;
};

const commands = {
  ours: [process.execPath, path('../ours/serve.js')],
  torch: [python, path('../peers/serve.py')],
  javascript: [process.execPath, path('../peers/javascript/serve.js')],
};

/** Starts a process that measures when asked, ours or that of `job.peer` (torch, javascript), as `converse` does. */
export function start(job, { seconds, environment = {} } = {}) {
  const [command, ...words] = commands[job.peer ?? 'ours'];
  return converse(command, [...words, JSON.stringify(job)], {
    seconds,
    environment: { ...(job.peer === 'torch' && torchEnvironment), ...environment },
  });
}

/**
 * Starts a process that answers lines of JSON. Waits at most `seconds` for its first word. Gives
 * what it said and `ask`, or `{error}` with the reason why it cannot.
 */
export async function converse(command, words, { seconds = 120, environment = {} } = {}) {
  const child = spawn(command, words, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let complaint = '';
  child.stderr.on('data', (text) => {
    complaint = (complaint + text).slice(-4000);
  });
  child.stdin.on('error', () => undefined);
  const failed = new Promise((resolve) => {
    child.on('error', (error) => resolve(`${command}: ${error.message}`));
    child.on('exit', (code, signal) =>
      resolve(`${command} ended with ${code ?? signal}: ${complaint.trim().split('\n').at(-1)}`),
    );
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (limit) => {
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve(`no answer in ${limit} s`), 1000 * limit);
    });
    const first = await Promise.race([lines.next(), late]);
    clearTimeout(timer);
    if (typeof first === 'string') {
      child.kill('SIGKILL');
      return { error: first };
    }
    return first.done ? { error: await failed } : JSON.parse(first.value);
  };
  const close = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await once(child, 'exit');
    clearTimeout(timer);
  };
  const hello = await line(seconds);
  if (hello.error !== undefined) {
    child.kill('SIGKILL');
    return { error: hello.error };
  }
  return {
    hello,
    close,
    /** Throws what the process complains about. */
    async ask(request, limit = 300) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const answer = await line(limit);
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    },
  };
}
