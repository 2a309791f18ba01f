// Where the time of a step goes, by a profile of onnxruntime.

/** Copies between the memories of the processor and of a device. */
const copies = new Set(['MemcpyFromHost', 'MemcpyToHost']);

const total = (events) => events.reduce((sum, { dur }) => sum + dur, 0);
const milliseconds = (microseconds) => Number((microseconds / 1000).toPrecision(4));

/** Milliseconds and counts by a name, largest first. */
function ranked(events, nameOf, most) {
  const sums = new Map();
  for (const event of events) {
    const { count, time } = sums.get(nameOf(event)) ?? { count: 0, time: 0 };
    sums.set(nameOf(event), { count: count + 1, time: time + event.dur });
  }
  return [...sums]
    .map(([name, { count, time }]) => ({ name, count, milliseconds: milliseconds(time) }))
    .sort((a, b) => b.milliseconds - a.milliseconds)
    .slice(0, most);
}

/**
 * Of the events of one session with several runs, times in milliseconds (`session`: to prepare it):
 *
 * - `wall`: the last run from start to end, of which `upload` brings its inputs to the device, `submit` goes through
 *   the nodes, and `wait` is for the device and for what is read back
 * - `gpu`: the device's own clock over the kernels of the last run; undefined without such a clock
 * - `nodes`, `kernels`, `shaders`: counts of nodes and kernels of a run, and of different shaders
 * - `onCpu`: nodes of the last run that another provider than `provider` computes; `copies` among memories
 * - `top`: the kernels (else nodes) that take most
 *
 * Throws when there is no run.
 */
export function readProfile(events, provider = 'WebGpuExecutionProvider') {
  const runs = events.filter(({ cat, name }) => cat === 'Session' && name === 'model_run').sort((a, b) => a.ts - b.ts);
  if (runs.length === 0) throw new Error('the profile has no run');
  const within = (list, { ts, dur }) => list.filter((event) => event.ts >= ts && event.ts < ts + dur);
  const nodes = events.filter(({ cat, args }) => cat === 'Node' && args?.provider !== undefined),
    kernels = events.filter(({ cat }) => cat === 'Api');
  const last = runs.at(-1);
  const lastNodes = within(nodes, last),
    lastKernels = within(kernels, last);
  const copying = lastNodes.filter(({ args }) => copies.has(args.op_name));
  const elsewhere = lastNodes.filter(({ args }) => args.provider !== provider);
  const [executor] = within(
    events.filter(({ cat, name }) => cat === 'Session' && name === 'SequentialExecutor::Execute'),
    last,
  );
  const session = events.find(({ cat, name }) => cat === 'Session' && name === 'session_initialization');
  return {
    runs: runs.length,
    session: session && milliseconds(session.dur),
    wall: milliseconds(last.dur),
    ...(executor && {
      upload: milliseconds(executor.ts - last.ts),
      submit: milliseconds(executor.dur),
      wait: milliseconds(last.ts + last.dur - executor.ts - executor.dur),
    }),
    gpu: lastKernels.length > 0 ? milliseconds(total(lastKernels)) : undefined,
    nodes: lastNodes.length,
    kernels: lastKernels.length,
    shaders: new Set(kernels.map(({ args }) => args?.cache_key)).size,
    onCpu: {
      count: elsewhere.length,
      milliseconds: milliseconds(total(elsewhere)),
      ops: ranked(elsewhere, ({ args }) => args.op_name, 5),
    },
    copies: {
      count: copying.length,
      milliseconds: milliseconds(total(copying)),
      bytes: copying.reduce((sum, { args }) => sum + Number(args.output_size ?? 0), 0),
    },
    top:
      lastKernels.length > 0
        ? ranked(lastKernels, ({ name }) => name.split('&').at(-1), 6)
        : ranked(lastNodes, ({ args }) => args.op_name, 6),
  };
}
