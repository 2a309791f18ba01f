/** docs/options.md, made from the tables of options. */
import { demoOpenOptions, demoOptions, trainingTables } from '../options/jobs.js';
import { describeDefault, flagName, type Option, type Options } from '../options/option.js';
import { consensusOptions, featuresOptions, packOptions, seedsOptions, shardOptions } from '../options/shards.js';
import {
  augmentOptions,
  compareOptions,
  doctorOptions,
  evaluateOptions,
  exportOptions,
  gapOptions,
  inspectOptions,
  predictOptions,
  pseudoLabelOptions,
  reportOptions,
  suggestOptions,
} from '../options/tools.js';
import { techniqueDefaults, trainingOptions } from '../options/training.js';

/** Jobs whose rows are those of `train` but for a few. */
const { train: _, ...others } = trainingTables;
const jobs: Readonly<Record<string, Options>> = {
  ...others,
  learn: { ...others.learn, ...shardOptions, ...seedsOptions },
  search: { ...others.search, ...shardOptions },
  demo: { ...demoOptions, ...demoOpenOptions },
};
const tools: Readonly<Record<string, Options>> = {
  'pseudo-label': { ...pseudoLabelOptions, ...shardOptions, ...consensusOptions },
  'suggest': suggestOptions,
  'gap': gapOptions,
  'evaluate': { ...evaluateOptions, ...shardOptions },
  'compare': compareOptions,
  'features': { ...featuresOptions, ...shardOptions },
  'predict': { ...predictOptions, ...shardOptions },
  'shards': packOptions,
  'export': exportOptions,
  'doctor': doctorOptions,
  'report': reportOptions,
  'augment': augmentOptions,
  'models inspect': inspectOptions,
};

/** The page as Markdown, before the formatter. */
export function optionsPage(): string {
  const groups = [...new Set(Object.values(trainingOptions as Options).map(({ group }) => group))];
  const ofTrain = groups.flatMap((group) => [
    `### ${group}`,
    table(Object.entries(trainingOptions as Options).filter(([, row]) => row.group === group)),
  ]);
  return [
    '# Options',
    'Made by `node scripts/options.js` from the tables in `src/options/`; change it there. The library and the ' +
      'command ' +
      'line take the same options: `labelsPerClass: 10` is `--labels-per-class 10`, `flip: false` is `--no-flip`. ' +
      'Where the library takes a list, one value may stand for a list of it; on the command line the flag is ' +
      'repeated. An option that would be ignored is refused. Every command takes `--json` as well.',
    '## Training',
    'Defaults are those of `finetune`, then of other modes where they differ, then of techniques.',
    ...ofTrain,
    ...Object.entries(jobs).flatMap(([name, options]) => jobSection(name, options)),
    ...Object.entries(tools).flatMap(([name, options]) => [`## \`pupil ${name}\``, table(Object.entries(options))]),
  ].join('\n\n');
}

function jobSection(name: string, options: Options): string[] {
  const all: Options = trainingOptions;
  const without = Object.keys(all).filter((key) => options[key] === undefined || options[key].never !== undefined);
  const own = Object.entries(options).filter(([key, row]) => row !== all[key] && row.never === undefined);
  const parts = [`## \`pupil ${name}\``, `As training, without ${without.map((key) => `\`${key}\``).join(', ')}.`];
  return own.length === 0 ? parts : [...parts, 'Its own options, or those with another default:', table(own)];
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

function table(rows: readonly (readonly [string, Option])[]): string {
  const lines = rows.flatMap(([name, row]) => {
    if (row.never !== undefined) return [];
    const flag = flagName(name, row);
    const shown =
      flag === undefined ? '' : row.kind.type === 'flag' && row.usual === true ? `--no-${flag}` : `--${flag}`;
    const cells = [
      `\`${name}\``,
      shown === '' ? '' : `\`${shown}\``,
      row.kind.takes,
      defaultsOf(name, row),
      row.says,
      useOf(row),
    ];
    return [`| ${cells.map(cell).join(' | ')} |`];
  });
  return [
    '| option | flag | takes | default | what it does | only with |',
    '| --- | --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n');
}

function defaultsOf(name: string, row: Option): string {
  const own = row.kind.type === 'flag' && typeof row.usual === 'boolean' ? String(row.usual) : describeDefault(row);
  const ofTechniques = row === (trainingOptions as Options)[name] ? techniqueDefaults(name) : undefined;
  return [own, ofTechniques].filter((text) => text !== undefined).join('; ');
}

function useOf({ only }: Option): string {
  const mode = only?.mode && only.mode.length < 2 ? only.mode.map((one) => `mode ${one}`) : [];
  return [...mode, ...(only?.optimizer ?? []), ...(only?.with ?? []).map((other) => `\`${other}\``)].join(' or ');
}
