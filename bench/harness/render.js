// results/benchmarks.md from results/benchmarks.json. A group of rows is a section with a table of its own.

export const number = (x) => (x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2));
const range = ([least, most]) => `${number(least)} to ${number(most)}`;
const table = (head, rows) => [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
const verdict = (value, goal, smaller = false) => (goal === undefined ? '' : (smaller ? value <= goal : value >= goal) ? 'reached' : 'not reached');

/** A row's comparisons as lines of a table. */
const comparisonLines = (result) => (result.comparisons ?? []).map((entry) => {
  const { ours, theirs, goal } = entry;
  if (entry.missing) return [result.title, ours, theirs, entry.missing, '', '', goal ?? '', ''];
  return [
    result.title, `${ours.replace('pupil ', '')} ${number(timeOf(result, ours))}`, `${theirs.replace('torch ', '')} ${number(timeOf(result, theirs))}`,
    `${number(entry.ratio.median)}x`, range(entry.ratio.spread), `${number(entry.processorRatio.median)}x`, goal ?? '', verdict(entry.ratio.median, goal),
  ];
});
const timeOf = (result, name) => result.variants[name].wall.median;
const comparisonHead = ['', 'ours, ms', 'theirs, ms', 'theirs / ours', 'least to most', 'by processor time', 'goal', ''];

const variantLines = (result) => Object.entries(result.variants ?? {}).map(([name, entry]) => (entry.error
  ? [result.title, name, entry.error, '', '', '']
  : [result.title, name, number(entry.wall.median), range(entry.wall.spread), number(entry.processor.median), entry.peakMegabytes]));
const memoryLines = (result) => (result.memory ?? []).map(({ ours, megabytes, theirMegabytes }) =>
  [result.title, ours.replace('pupil ', ''), megabytes, theirMegabytes ?? '', theirMegabytes ? number(megabytes / theirMegabytes) : '', verdict(megabytes, theirMegabytes, true)]);

const groups = {
  step: {
    title: 'Training steps', text: `Forward, cross-entropy, backward, SGD with momentum 0.9 and weight decay. Theirs is the faster of PyTorch's two layouts, eager.`,
    tables: (results) => [
      table(comparisonHead, results.flatMap(comparisonLines)),
      '### Peak resident memory of a training step', 'Of a process of its own that does a few steps, against that of PyTorch\'s fastest f32 variant.',
      table(['', 'ours', 'MiB', 'theirs, MiB', 'ours / theirs', 'goal: at most 1'], results.flatMap(memoryLines)),
      '### Every variant', table(['', 'variant', 'ms a step', 'least to most', 'processor ms', 'peak MiB'], results.flatMap(variantLines)),
    ],
  },
  compile: {
    title: 'Against torch.compile', text: 'The same steps against torch.compile (channels_last), which needs a C++ compiler and minutes to begin.',
    tables: (results) => [table(comparisonHead, results.flatMap(comparisonLines))],
  },
};

const introduction = `# Benchmarks

Written by \`npm run bench\`; what is measured and how: [docs/benchmarks.md](../docs/benchmarks.md). Times are medians of the rounds; ratios are
PyTorch's time divided by ours, taken round by round, median with least and most: above 1 we are faster. A load above 2 means that the machine was shared with other
work: then ratios of processor time say more than those of the clock.
`;

function headerText(results) {
  const unique = (list) => [...new Set(list)];
  const versions = {};
  for (const result of results) {
    for (const found of [result.versions, ...Object.values(result.variants ?? {}).map((variant) => variant.versions)]) Object.assign(versions, found);
  }
  const loads = results.flatMap(({ load }) => load);
  return [
    `- machine: ${unique(results.map(({ machine }) => machine)).join('; ')}`,
    `- threads: ${unique(results.map(({ threads }) => threads)).join(', ')} on both sides`,
    `- versions: ${Object.entries(versions).map((pair) => pair.join(' ')).join(', ')}; engines: ${unique(results.flatMap(({ variants }) => Object.values(variants ?? {}).map(({ description }) => description).filter(Boolean))).join('; ')}`,
    `- load of the machine beside and by the measurements: ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}; dates: ${unique(results.map(({ date }) => date)).join(', ')}`,
    '',
  ].join('\n');
}

/** The page of all rows that were measured. */
export function page(all) {
  const results = Object.values(all);
  const blocks = [introduction, headerText(results)];
  for (const [group, { title, text, tables }] of Object.entries(groups)) {
    const own = results.filter((result) => result.group === group);
    if (own.length === 0) continue;
    const missing = own.filter((result) => result.missing).map((result) => `- ${result.title}: not measured (${result.missing})`);
    blocks.push(`## ${title}\n\n${[text, ...tables(own.filter((result) => !result.missing)), ...(missing.length > 0 ? [missing.join('\n')] : [])].join('\n\n')}\n`);
  }
  return blocks.join('\n');
}

/** A row alone, for the terminal. */
export function rowText(name, result) {
  if (result.missing) return `${name}: not measured (${result.missing})`;
  return `${name} (${result.seconds} s, load ${result.load.join(' to ')})\n${groups[result.group].tables([result]).join('\n')}`;
}
