/** Label Studio's protocol for machine learning backends: https://labelstud.io/guide/ml_create. */
import { PupilError } from '../errors.js';
import type { Classifier } from '../evaluate/classifier.js';
import type { Picture } from '../evaluate/load.js';

export interface LabelStudioHost {
  /** Only images from there are fetched, with the key in LABEL_STUDIO_API_KEY; undefined: none are. */
  readonly origin: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};

/** Tasks at once, and bytes of an image. */
const mostTasks = 256,
  largest = 32 * 2 ** 20;
/** A version of the answers: of this process. */
const version = `pupil-${Date.now()}`;

export function labelStudio(classifier: Classifier<Picture>, host: LabelStudioHost) {
  return {
    setup: (_: unknown) => ({ model_version: version }),
    /** A prediction for each task, in order; one whose image cannot be read has none. */
    async predict(body: unknown): Promise<{ readonly results: readonly object[] }> {
      const { tasks, label_config: config } = fieldsOf(body);
      if (!Array.isArray(tasks) || tasks.length > mostTasks)
        throw new PupilError('usage', `a list of at most ${mostTasks} \`tasks\` is expected`);
      const { choices, image, key } = namesIn(typeof config === 'string' ? config : '');
      const results: object[] = [];
      for (const task of tasks as readonly unknown[]) {
        const data = fieldsOf(fieldsOf(task)['data']);
        const source = data[key] ?? Object.values(data).find((value) => typeof value === 'string');
        const said = await imageOf(source, host)
          .then((bytes) => classifier.predict(bytes))
          .catch((error: unknown) => {
            if (error instanceof PupilError) return undefined;
            throw error;
          });
        const result =
          said === undefined || said.none
            ? []
            : [{ from_name: choices, to_name: image, type: 'choices', value: { choices: [said.label] } }];
        results.push({ result, score: said?.confidence ?? 0, model_version: version });
      }
      return { results };
    },
  };
}

/** Names of the tags in the labelling interface, and the field that holds the image. */
function namesIn(config: string): { readonly choices: string; readonly image: string; readonly key: string } {
  const attribute = (tag: string, name: string): string | undefined =>
    new RegExp(`<${tag}\\b[^>]{0,2000}?\\b${name}="([^"]{0,200})"`).exec(config)?.[1];
  return {
    choices: attribute('Choices', 'name') ?? 'choice',
    image: attribute('Image', 'name') ?? 'image',
    key: attribute('Image', 'value')?.replace(/^\$/, '') ?? 'image',
  };
}

/** Throws `usage` for what is neither a data: address nor one of the Label Studio that was named. */
async function imageOf(source: unknown, { origin }: LabelStudioHost): Promise<Uint8Array> {
  if (typeof source !== 'string') throw new PupilError('usage', 'a task has no image');
  const inline = /^data:image\/[\w.+-]+;base64,/.exec(source);
  if (inline !== null) return Buffer.from(source.slice(inline[0].length), 'base64');
  if (origin === undefined || !URL.canParse(source, origin) || new URL(source, origin).origin !== origin)
    throw new PupilError('usage', 'only images of the Label Studio named by `labelStudio` are fetched');
  const key = process.env['LABEL_STUDIO_API_KEY'];
  const answer = await fetch(new URL(source, origin), {
    headers: key === undefined ? {} : { Authorization: `Token ${key}` },
    redirect: 'error',
    signal: AbortSignal.timeout(30_000),
  }).catch(() => undefined);
  if (answer?.ok !== true || Number(answer.headers.get('content-length') ?? 0) > largest)
    throw new PupilError('network', 'the image could not be fetched');
  return new Uint8Array(await answer.arrayBuffer());
}
