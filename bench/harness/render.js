// results/benchmarks.md from results/benchmarks.json. A group of rows is a section with tables of
// its own.
import { comparisonTable, isBusy, memoryTable, number, range, table, variantTable, verdict } from './text.js';

const perSecond = (time, { batch }) => `${number((1000 * batch) / time)}`;

const groups = {
  step: {
    title: 'Training steps',
    text:
      'Forward, cross-entropy, backward, SGD with momentum 0.9 and weight decay. Theirs is the fastest of eager ' +
      "PyTorch's two layouts.",
    tables: (results) => [
      comparisonTable(results),
      '### Peak resident memory of a training step',
      "Of a process of its own that does these steps, against that of PyTorch's fastest f32 variant.",
      memoryTable(results),
      '### Every variant',
      variantTable(results),
    ],
  },
  infer: {
    title: 'Inference',
    text:
      'Images a second of a teacher, batch 16, 224x224. Ours is the best engine; theirs the best of eager ' +
      'PyTorch, as it comes or with normalisation folded.',
    tables: (results) => [
      comparisonTable(results, { columns: ['ours, images/s', 'theirs, images/s'], show: perSecond }),
      '### Every variant of inference',
      variantTable(results, { unit: 'ms a batch' }),
    ],
  },
  start: {
    title: 'Start',
    text:
      'Seconds, median and spread. A session "the first time" also times convolutions, which is kept for the ' +
      'machine.',
    tables: (results) => [
      table(
        ['', 'variant', 's', 'least to most', 'goal: at most', ''],
        results.flatMap((result) =>
          Object.entries(result.variants).map(([name, entry]) => {
            const limit = result.limits.find(({ ours }) => ours === name);
            return entry.error
              ? [result.title, name, entry.error, '', limit?.goal ?? '', '']
              : [
                  result.title,
                  name,
                  number(entry.wall.median),
                  range(entry.wall.spread),
                  limit?.goal ?? '',
                  verdict(entry.wall.median, limit?.goal, true),
                ];
          }),
        ),
      ),
    ],
  },
  javascript: {
    title: 'Other libraries in JavaScript',
    text:
      "One 3x3 convolution, 64 channels, 32x32, batch 8. Ours goes through the engine's thread, copies there and " +
      'back included. Steps of more than 5 s are measured once.',
    tables: (results) => [
      comparisonTable(results, {
        columns: ['ours, GFLOP/s', 'theirs, GFLOP/s'],
        show: (time, { gigaflops }) => number((1000 * gigaflops) / time),
      }),
    ],
  },
  job: {
    title: 'Whole jobs',
    text:
      'Seconds from the start of the process to its end, flowers (1,600 + 400 photos), MobileNetV2 with the ' +
      'weights of one file, decoding and augmentation included. Accuracy is on `val`, which nothing is chosen on.',
    tables: (results) => [
      comparisonTable(results, { columns: ['ours, s', 'theirs, s'] }),
      table(
        ['', 'variant', 's', 'least to most', 'processor s', 'top-1'],
        results.flatMap((result) =>
          Object.entries(result.variants).map(([name, entry]) =>
            entry.error
              ? [result.title, name, entry.error, '', '', '']
              : [
                  result.title,
                  name,
                  number(entry.wall.median),
                  range(entry.wall.spread),
                  number(entry.processor.median),
                  [...new Set(entry.top1.map((x) => x.toFixed(4)))].join(', '),
                ],
          ),
        ),
      ),
    ],
  },
  compile: {
    title: 'Against torch.compile',
    text:
      'The same against torch.compile (channels last), which needs a C++ compiler and minutes to begin; its ' +
      'start is not counted.',
    tables: (results) => [comparisonTable(results)],
  },
  growth: {
    title: 'How time and memory grow',
    text:
      'Least of a few warm steps, and the peak of the process. Both axes are logarithmic: a straight line of ' +
      'slope 1 is growth in proportion.',
    tables: (results) =>
      results.flatMap((result) => {
        const named = Object.entries(result.series);
        const xs = [...new Set(named.flatMap(([, { points = [] }]) => points.map(({ x }) => x)))];
        return [
          `### ${result.title}`,
          result.pictures.map((file) => `![${result.title}](${file})`).join(' '),
          table(
            ['', ...named.map(([name]) => name)],
            xs.map((x) => [
              x.toLocaleString('en'),
              ...named.map(([, { points = [], error }]) => {
                const point = points.find((one) => one.x === x);
                return point ? `${number(point.wall)} ms, ${point.peakMegabytes} MiB` : (error ?? '');
              }),
            ]),
          ),
        ];
      }),
  },
};

const introduction = `# Benchmarks

Written by \`npm run bench\`; what is measured and how: [docs/benchmarks.md](../docs/benchmarks.md). The input \
pipeline has its own page, [pipeline.md](pipeline.md).
Times are medians of the rounds; ratios are the peer's time divided by ours, taken round by round, median with \
least and most: above 1 we are faster. A round in which other
work took more than an eighth of the processors is repeated; rows for which that could not be had are marked busy: \
there the ratios of the two fastest steps and of processor time say more, and goals are left open.
`;

function headerText(results) {
  const unique = (list) => [...new Set(list)];
  const versions = {};
  for (const result of results) {
    for (const found of [result.versions, ...Object.values(result.variants ?? {}).map((variant) => variant.versions)])
      Object.assign(versions, found);
  }
  const loads = results.flatMap(({ load }) => load);
  const engines = unique(
    results.flatMap(({ variants }) =>
      Object.values(variants ?? {})
        .map(({ description }) => description)
        .filter(Boolean),
    ),
  );
  return [
    `- machine: ${unique(results.map(({ machine }) => machine)).join('; ')}`,
    `- threads: ${unique(results.map(({ threads }) => threads)).join(', ')} on both sides`,
    `- versions: ${Object.entries(versions)
      .map((pair) => pair.join(' '))
      .join(', ')}`,
    `- engines: ${engines.join('; ')}`,
    `- load of the machine before and after rows: ${Math.min(...loads).toFixed(1)} to ` +
      `${Math.max(...loads).toFixed(1)} (a row's own load is 2); dates: ` +
      `${unique(results.map(({ date }) => date)).join(', ')}`,
    '',
  ].join('\n');
}

/** The title says what a reader must know of the row. */
function marked(result) {
  const notes = [
    ...(isBusy(result) ? [`busy: ${result.calm.calm} of ${result.calm.rounds} rounds calm`] : []),
    ...(result.passive ? ['--passive'] : []),
  ];
  return notes.length > 0 ? { ...result, title: `${result.title} (${notes.join('; ')})` } : result;
}

/** The page of all rows that were measured, in the order of `names`. */
export function page(all, names) {
  const results = names.filter((name) => all[name]).map((name) => all[name]);
  const blocks = [introduction, headerText(results)];
  for (const [group, { title, text, tables }] of Object.entries(groups)) {
    const own = results.filter((result) => result.group === group).map(marked);
    if (own.length === 0) continue;
    const missing = own
      .filter((result) => result.missing)
      .map((result) => `- ${result.title}: not measured (${result.missing})`);
    const parts = [text, ...tables(own.filter((result) => !result.missing))];
    if (missing.length > 0) parts.push(missing.join('\n'));
    blocks.push(`## ${title}\n\n${parts.join('\n\n')}\n`);
  }
  return blocks.join('\n');
}

/** A row alone, for the terminal. */
export function rowText(name, result) {
  if (result.missing) return `${name}: not measured (${result.missing})`;
  return (
    `${name} (${result.seconds} s, load ` +
    `${result.load.join(' to ')})\n${groups[result.group].tables([marked(result)]).join('\n')}`
  );
}
