import { basename } from 'node:path';
import type { Engine } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import { resolveModel } from '../models/index.js';
import {
  askOnce,
  assertBetterThanChance,
  openTeacher,
  teacherOf,
  type Teacher,
  type TeacherModel,
} from '../techniques/teacher.js';
import { mixingOf } from './augmentation.js';
import type { RunEvent } from './events.js';
import type { RunImages } from './images.js';
import { reporting } from './relay.js';
import type { Settings } from './resolve.js';

/** The networks to learn from, not yet running. Throws `bad-data` when one does not know a class. */
export const chooseTeachers = (
  { teachers, teacherNormalize, teacherSize }: Settings,
  classes: readonly string[],
): Promise<TeacherModel[]> =>
  Promise.all(
    teachers.map(async (name) => {
      const model = await resolveModel(name, { normalize: teacherNormalize, size: teacherSize }).catch(ofTeacher);
      return teacherOf(name, model, classes);
    }),
  );

/** An error about a model's input is one about the options for a teacher's. */
function ofTeacher(error: unknown): never {
  if (!(error instanceof PupilError)) throw error;
  const names: Readonly<Record<string, string>> = { normalize: 'teacherNormalize', size: 'teacherSize' };
  const message = error.message.replace(/`(normalize|size)`/g, (_, name: string) => `\`${names[name]!}\``);
  const { code, option = '', cause } = error;
  throw new PupilError(code, message, { option: names[option] ?? error.option ?? 'teachers', cause });
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
