import { basename } from 'node:path';
import type { Engine } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import { OverruledError } from '../models/import/input.js';
import { isBuiltIn, resolveModel, type ForeignOptions } from '../models/index.js';
import type { Model } from '../models/model.js';
import {
  askOnce,
  assertBetterThanChance,
  openTeacher,
  teacherOf,
  type Teacher,
  type TeacherModel,
} from '../techniques/teacher.js';
import { mixingOf } from './augmentation.js';
import { hubEvents } from './choose-model.js';
import type { RunEvent } from './events.js';
import type { RunImages } from './images.js';
import type { OpenModel } from './open-once.js';
import { relaying, reporting } from './relay.js';
import type { Settings, TrainOptions } from './resolve.js';

/** For which classes networks are opened, and how. */
interface Choosing {
  readonly classes: readonly string[];
  readonly signal?: AbortSignal | undefined;
  readonly open?: OpenModel | undefined;
}

/**
 * The networks to learn from, not yet running. Says what is assumed of them. Throws `bad-data` when
 * one does not know a class, `bad-model` for an encoder, which knows none.
 */
export async function* chooseTeachers(
  settings: Settings,
  choosing: Choosing,
): AsyncGenerator<RunEvent, TeacherModel[], undefined> {
  const opened = yield* openEach(settings, choosing);
  return opened.map(({ name, model }) => teacherOf(name, model, choosing.classes));
}

/** What is told of teachers that Pupil did not make. */
export const foreignTeacher = ({
  teacherNormalize,
  teacherChannels,
  teacherSize,
  teacherClassNames,
}: Pick<TrainOptions, `teacher${'Normalize' | 'Channels' | 'Size' | 'ClassNames'}`>): ForeignOptions => ({
  normalize: teacherNormalize,
  channels: teacherChannels,
  size: teacherSize,
  classNames: teacherClassNames,
});

/** A further network whose features a consensus looks at; its own head has no say. */
export interface Backbone {
  readonly name: string;
  readonly model: Model;
}

/**
 * The teachers of a consensus, not yet running: networks with features, whatever their classes.
 * Throws `bad-model` for one without.
 */
export const chooseBackbones = (
  settings: ToldOfTeachers,
  choosing: Choosing,
): AsyncGenerator<RunEvent, Backbone[], undefined> =>
  openEach(settings, choosing, {
    // A head of the run's classes shows where the features are. A built-in network has no weights: refused.
    labels: (name) => (isBuiltIn(name) ? undefined : choosing.classes),
    onFailure: (name, error) => {
      throw error instanceof PupilError && error.option === 'head' ? withoutFeatures(name, error) : error;
    },
  });

type ToldOfTeachers = Pick<Settings, 'teachers'> & Parameters<typeof foreignTeacher>[0];

/**
 * Opens all teachers. What is told of those that Pupil did not make is left out for one that says itself how it is
 * read, unless all do.
 */
async function* openEach(
  settings: ToldOfTeachers,
  { signal, open = resolveModel }: Choosing,
  more: {
    labels?(name: string): readonly string[] | undefined;
    onFailure?(name: string, error: unknown): never;
  } = {},
): AsyncGenerator<RunEvent, Backbone[], undefined> {
  const opened: Backbone[] = [],
    overruled: unknown[] = [];
  for (const name of settings.teachers) {
    const notes: string[] = [];
    const model = yield* relaying(async (emit) => {
      const hub = await hubEvents(emit, signal);
      const openWith = (told: ForeignOptions): Promise<Model> =>
        open(name, { ...told, labels: more.labels?.(name), warn: (note) => notes.push(note), hub }).catch(
          (error: unknown) => (more.onFailure ?? rethrow)(name, error),
        );
      return openWith(foreignTeacher(settings)).catch((error: unknown) => {
        if (settings.teachers.length === 1 || !(error instanceof OverruledError)) return ofTeacher(error);
        overruled.push(error);
        return openWith({}).catch(ofTeacher);
      });
    });
    opened.push({ name, model });
    for (const note of notes) yield { type: 'warning', message: `teacher ${inTeachersWords(note)}` };
  }
  if (opened.length > 0 && overruled.length === opened.length) ofTeacher(overruled[0]);
  return opened;
}

const rethrow = (_: string, error: unknown): never => {
  throw error;
};

const withoutFeatures = (name: string, cause: PupilError): PupilError =>
  new PupilError(
    'bad-model',
    `teacher ${name}: no features were found in front of its scores, and a consensus reads nothing else of a ` +
      'teacher; give a classifier with a last layer, or an encoder',
    { option: 'teachers', cause },
  );

const teacherOptions: Readonly<Record<string, string>> = {
  normalize: 'teacherNormalize',
  channels: 'teacherChannels',
  size: 'teacherSize',
  classNames: 'teacherClassNames',
};

/** What is said of a model, with the options for a teacher's; its output and features cannot be chosen. */
const inTeachersWords = (message: string): string =>
  message
    .replace(/`(\w+)`/g, (quoted, name: string) => (name in teacherOptions ? `\`${teacherOptions[name]!}\`` : quoted))
    .replace(/(,? or say with|[:;]) `(modelOutput|features)` .*$/, '');

/** An error about a model's input is one about the options for a teacher's. */
export function ofTeacher(error: unknown): never {
  if (!(error instanceof PupilError) || error.code === 'interrupted') throw error;
  const { code, option, cause } = error;
  throw new PupilError(code, inTeachersWords(error.message), {
    option: (option !== undefined && teacherOptions[option]) || 'teachers',
    cause,
  });
}

/**
 * Starts teachers, and asks each for what has to be known before training. Throws `bad-data` for one
 * that is no good.
 */
export async function* consultTeachers(
  engine: Engine,
  models: readonly TeacherModel[],
  images: RunImages,
  settings: Settings,
): AsyncGenerator<RunEvent, Teacher[], undefined> {
  const teachers: Teacher[] = [];
  for (const model of models) {
    const teacher = await openTeacher(engine, model);
    teachers.push(teacher);
    yield* reporting(`asking ${basename(teacher.name)}`, 'images', (report) =>
      consult(teacher, images, settings, report),
    );
  }
  return teachers;
}

/** All images are asked for when their views never change, else those that tell how good it is. */
async function consult(
  teacher: Teacher,
  { dataset: { classes }, evaluation, training }: RunImages,
  settings: Settings,
  report: (done: number, total: number) => void,
): Promise<void> {
  const all = training ?? evaluation;
  const fixed = training === undefined && mixingOf(settings) === undefined;
  const asked = all.samples.filter(({ label, split }) => fixed || (label >= 0 && split === 'train'));
  // Classes stand one after another: some hundreds of all of them tell enough.
  const every = fixed ? 1 : Math.max(1, Math.floor(asked.length / 500));
  const samples = asked.filter((_, i) => i % every === 0);
  await askOnce(teacher, samples, all, classes, report);
  assertBetterThanChance(teacher, all.samples, classes.length);
}
