import { basename } from 'node:path';
import type { Engine } from '../engine/engine.js';
import { PupilError } from '../errors.js';
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
  { classes, signal, open = resolveModel }: Choosing,
): AsyncGenerator<RunEvent, TeacherModel[], undefined> {
  const chosen: TeacherModel[] = [];
  for (const name of settings.teachers) {
    const notes: string[] = [];
    const model = yield* relaying(async (emit) =>
      open(name, {
        ...foreignTeacher(settings),
        warn: (note) => notes.push(note),
        hub: await hubEvents(emit, signal),
      }).catch(ofTeacher),
    );
    chosen.push(teacherOf(name, model, classes));
    for (const note of notes) yield { type: 'warning', message: `teacher ${inTeachersWords(note)}` };
  }
  return chosen;
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
export async function* chooseBackbones(
  settings: Pick<Settings, 'teachers'> & Parameters<typeof foreignTeacher>[0],
  { classes, signal, open = resolveModel }: Choosing,
): AsyncGenerator<RunEvent, Backbone[], undefined> {
  const chosen: Backbone[] = [];
  for (const name of settings.teachers) {
    const notes: string[] = [];
    const model = yield* relaying(async (emit) =>
      open(name, {
        ...foreignTeacher(settings),
        // A head of the run's classes shows where the features are. A built-in network has no weights: refused.
        labels: isBuiltIn(name) ? undefined : classes,
        warn: (note) => notes.push(note),
        hub: await hubEvents(emit, signal),
      })
        .catch((error: unknown) => {
          throw error instanceof PupilError && error.option === 'head' ? withoutFeatures(name, error) : error;
        })
        .catch(ofTeacher),
    );
    chosen.push({ name, model });
    for (const note of notes) yield { type: 'warning', message: `teacher ${inTeachersWords(note)}` };
  }
  return chosen;
}

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
