// Small parts of the page.

export const number = (x) => (x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2));
export const range = ([least, most]) => `${number(least)} to ${number(most)}`;
export const table = (head, rows) =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
export const verdict = (value, goal, smaller = false) =>
  goal === undefined ? '' : (smaller ? value <= goal : value >= goal) ? 'reached' : 'not reached';
/** Whether other work disturbed some of the rounds. */
export const isBusy = ({ calm }) => calm !== undefined && calm.calm < calm.rounds;
/** Without the library's name, which the column says. */
const short = (name) => name.replace(/^(pupil|torch) /, '').replace('channels_last', 'channels last');

/** What compares with what. `show` writes a variant's time as the column does. */
export function comparisonTable(results, { columns = ['ours, ms', 'theirs, ms'], show = (time) => number(time) } = {}) {
  const lines = results.flatMap((result) =>
    (result.comparisons ?? []).map((entry) => {
      const { ours, theirs, goal } = entry;
      if (entry.missing)
        return [result.title, short(ours ?? ''), short(theirs), entry.missing, '', '', '', goal ?? '', ''];
      const leasts = [ours, theirs].map((name) => result.variants[name].least ?? result.variants[name].wall.spread[0]);
      const side = (name) => `${short(name)}: ${show(result.variants[name].wall.median, result)}`;
      return [
        result.title,
        side(ours),
        side(theirs),
        `${number(entry.ratio.median)}x`,
        range(entry.ratio.spread),
        `${number(leasts[1] / leasts[0])}x`,
        `${number(entry.processorRatio.median)}x`,
        goal ?? '',
        goal !== undefined && isBusy(result) ? 'too busy to say' : verdict(entry.ratio.median, goal),
      ];
    }),
  );
  return table(
    ['', ...columns, 'theirs / ours', 'least to most', 'of the fastest steps', 'by processor time', 'goal', ''],
    lines,
  );
}

/** Every variant of every row. */
export function variantTable(results, { unit = 'ms a step', memory = true } = {}) {
  const lines = results.flatMap((result) =>
    Object.entries(result.variants ?? {}).map(([name, entry]) =>
      entry.error
        ? [result.title, name, entry.error, '', '', ...(memory ? [''] : [])]
        : [
            result.title,
            name,
            number(entry.wall.median),
            range(entry.wall.spread),
            number(entry.processor.median),
            ...(memory ? [entry.peakMegabytes ?? ''] : []),
          ],
    ),
  );
  return table(['', 'variant', unit, 'least to most', 'of the processor', ...(memory ? ['peak MiB'] : [])], lines);
}

export function memoryTable(results) {
  const lines = results.flatMap((result) =>
    (result.memory ?? []).map(({ ours, megabytes, theirMegabytes }) => [
      result.title,
      short(ours),
      megabytes,
      theirMegabytes ?? '',
      theirMegabytes ? number(megabytes / theirMegabytes) : '',
      verdict(megabytes, theirMegabytes, true),
    ]),
  );
  return table(['', 'ours', 'MiB', 'theirs, MiB', 'ours / theirs', 'at most 1'], lines);
}
