import { stat } from 'node:fs/promises';
import { basename, isAbsolute } from 'node:path';
import type { Run } from '../artifact/run.js';
import { runFiles, type RunFile } from '../artifact/run-files.js';
import { alikeBlocks, readAlike } from './alike.js';
import type { Block } from './blocks.js';
import type { Json } from './json.js';
import { ladderBlocks, readLadder } from './ladder.js';
import { pseudoLabelsBlocks, readPseudoLabels } from './pseudo-labels.js';
import { readRounds, roundsBlocks } from './rounds.js';
import { readSeeds, seedsBlocks } from './seeds.js';
import { readUnlabelled, unlabelledBlocks } from './unlabelled.js';
import { readWarnings, warningsBlocks } from './warnings.js';

/** A part of the page about one thing that the run's technique left. */
export interface TechniqueSection {
  readonly title: string;
  readonly place: 'head' | 'first' | 'after curves';
  /** Images in them have the paths that the file states. */
  readonly blocks: readonly Block[];
}

type MaybeBlocks = readonly Block[] | undefined;

/** Of a file that says all that is drawn of it. */
const drawn =
  <File>(read: (value: unknown) => File | undefined, blocks: (file: File) => readonly Block[]) =>
  (value: unknown): MaybeBlocks => {
    const file = read(value);
    return file && blocks(file);
  };

/**
 * Files of a run folder and what is drawn of them, in the order of the page; undefined: nothing.
 */
const sources: readonly (Pick<TechniqueSection, 'title' | 'place'> & {
  readonly file: RunFile<unknown>;
  readonly read: (value: unknown, run: Run) => MaybeBlocks | Promise<MaybeBlocks>;
})[] = [
  {
    title: 'Warnings',
    file: runFiles.warnings,
    place: 'head',
    read: drawn(readWarnings, warningsBlocks),
  },
  {
    title: 'Seeds',
    file: runFiles.seeds,
    place: 'first',
    read: drawn(readSeeds, seedsBlocks),
  },
  {
    title: 'Techniques compared',
    file: runFiles.ladder,
    place: 'first',
    async read(value, run) {
      const ladder = readLadder(value);
      const links = await linksOf(run, ladder?.rungs ?? []);
      return ladder && ladderBlocks(ladder, links);
    },
  },
  {
    title: 'Rounds of self-training',
    file: runFiles.rounds,
    place: 'first',
    async read(value, run) {
      const rounds = readRounds(value);
      const links = await linksOf(run, rounds?.rounds ?? []);
      return rounds && roundsBlocks(rounds, links);
    },
  },
  {
    title: 'Pseudo-labels',
    file: runFiles.pseudoLabels,
    place: 'after curves',
    async read(value, run) {
      const labels = readPseudoLabels(value);
      // What is wrong with that file is said in its own section.
      const ladder = await runFiles.ladder.read(run.path).catch(() => undefined);
      return labels && pseudoLabelsBlocks(labels, ladder?.kept);
    },
  },
  {
    title: 'Images in two splits',
    file: runFiles.alike,
    place: 'after curves',
    read: drawn(readAlike, alikeBlocks),
  },
];

/**
 * The sections of a run, from its records and from the files it has. A damaged file is named where
 * its section would be.
 */
export async function readSections(run: Run, records: readonly Json[]): Promise<TechniqueSection[]> {
  const unlabelled = readUnlabelled(records);
  const sections: TechniqueSection[] =
    unlabelled === undefined
      ? []
      : [{ title: 'Unlabelled images', place: 'after curves', blocks: unlabelledBlocks(unlabelled) }];
  for (const { title, file, place, read } of sources) {
    let value: unknown;
    try {
      value = await file.read(run.path);
    } catch (error) {
      const message = (error as Error).message.replaceAll(run.path, basename(run.path));
      sections.push({
        title,
        place,
        blocks: [{ type: 'text', text: `This part is missing. ${message}` }],
      });
      continue;
    }
    if (value === undefined) continue;
    const blocks = await read(value, run);
    if (blocks !== undefined) sections.push({ title, place, blocks });
  }
  return sections;
}

/**
 * Addresses of the reports of runs below this one, by the path that a file states; only of those
 * that are there.
 */
async function linksOf(run: Run, items: readonly { readonly run?: string }[]): Promise<Map<string, string>> {
  const links = new Map<string, string>();
  for (const { run: path } of items) {
    if (path === undefined) continue;
    const parts = path.split(/[\\/]/).filter((part) => part !== '' && part !== '.');
    if (isAbsolute(path) || parts.length === 0 || parts.includes('..')) continue;
    const there = await stat(run.file([...parts, runFiles.report.name].join('/'))).then(
      (file) => file.isFile(),
      () => false,
    );
    if (there) links.set(path, [...parts, runFiles.report.name].map(encodeURIComponent).join('/'));
  }
  return links;
}
