/** The model card of a repository on the Hugging Face hub: its README.md. */
import type { Metrics } from '../artifact/formats.js';
import { independentOf, wilson } from '../evaluate/metrics.js';
import { originsOf } from '../models/licence.js';
import type { BackboneSource } from '../models/model.js';
import { aboutImages, measuredOn } from './evaluation.js';
import { percent, short } from './format.js';
import { rangeText } from './intervals.js';
import { objectOf, optionalNumberOf } from './json.js';
import { cardBody, escaped, type CardPart } from './model-card.js';

/** The accuracy on images that were held out, as it was measured. */
export interface Measured {
  readonly top1: number;
  readonly count: number;
  readonly independent?: number | undefined;
  readonly accepted?: number | undefined;
  readonly drawn?: Metrics['drawn'];
  /** `test`, `val`, or what else was held out. */
  readonly split: string;
}

export interface HubCardContents {
  readonly title: string;
  readonly parts: readonly CardPart[];
  readonly backbone: BackboneSource | undefined;
  readonly teachers?: readonly BackboneSource[] | undefined;
  readonly measured: Measured | undefined;
  /** The ONNX file for programs that take a smaller one, by transformers.js's name of its type. */
  readonly smaller: 'q8' | 'fp16' | undefined;
}

function drawnIn(value: unknown): Metrics['drawn'] {
  const { top1, count, independent } = objectOf(value);
  return typeof top1 === 'number' && typeof count === 'number' && count > 0
    ? { top1, count, independent: optionalNumberOf(independent) }
    : undefined;
}

/** The accuracy in the provenance of a model file; undefined where nothing was measured. */
export function measuredIn(provenance: Readonly<Record<string, unknown>>): Measured | undefined {
  const metrics = objectOf(provenance['metrics']);
  for (const [name, split] of [
    ['test', 'test'],
    ['val', 'val'],
    ['selection', 'held out of train'],
  ] as const) {
    const { top1, count, independent, accepted, drawn } = objectOf(metrics[name]);
    if (typeof top1 === 'number' && typeof count === 'number')
      return {
        ...{ top1, count, split },
        independent: optionalNumberOf(independent),
        accepted: optionalNumberOf(accepted),
        drawn: drawnIn(drawn),
      };
  }
  return undefined;
}

/** What was measured, in a line. */
export const measuredLine = (measured: Measured): string => {
  const { top1, count, split } = measured;
  return [
    `Accuracy ${percent(top1)} (95% interval ${rangeText(wilson(top1, independentOf(measured)))}) on ${short(count)} ` +
      `${measuredOn(split)}.`,
    ...aboutImages(measured),
  ].join(' ');
};

/** JSON's texts are YAML's. */
const yaml = (text: string): string => (/^[A-Za-z][\w./-]*$/.test(text) ? text : JSON.stringify(text));

/** The licence, where the networks behind a model agree on it. */
function licenceOf(origins: readonly BackboneSource[]): string[] {
  const [first, ...others] = new Set(origins.map(({ licence }) => licence ?? 'unknown'));
  if (first === undefined) return [];
  if (others.length === 0) return [`license: ${yaml(first)}`];
  return ['license: other', `license_name: ${yaml([first, ...others].join(' and '))}`];
}

/** The heading that the hub reads. */
function heading({ title, measured, ...model }: HubCardContents): string {
  const { name = null } = model.backbone ?? {};
  const isRepository = name !== null && /^[\w.-]+\/[\w.-]+$/.test(name);
  return [
    '---',
    ...licenceOf(originsOf(model)),
    'library_name: transformers.js',
    'pipeline_tag: image-classification',
    ...(isRepository ? [`base_model: ${yaml(name)}`] : []),
    'tags:',
    ...['image-classification', 'onnx', 'transformers.js', 'pupil'].map((tag) => `  - ${tag}`),
    ...(measured === undefined
      ? []
      : [
          'model-index:',
          `  - name: ${yaml(title)}`,
          '    results:',
          '      - task:',
          '          type: image-classification',
          '        dataset:',
          `          name: ${yaml(`${title}, ${short(measured.count)} ${measuredOn(measured.split)}`)}`,
          '          type: imagefolder',
          '        metrics:',
          '          - type: accuracy',
          `            value: ${measured.top1.toFixed(4)}`,
        ]),
    '---',
  ].join('\n');
}

/** Ten lines each for transformers.js and `pupil/web`. */
const use = (title: string, smaller: HubCardContents['smaller']): string => `## Use

In [transformers.js](https://huggingface.co/docs/transformers.js), where \`OWNER\` is whose repository this is:

\`\`\`js
import { pipeline } from '@huggingface/transformers';

const classify = await pipeline('image-classification', 'OWNER/${title}', { dtype: 'fp32' });
const [{ label, score }] = await classify('photo.jpg');
console.log(label, score);
\`\`\`
${smaller === undefined ? '' : `\n\`dtype: '${smaller}'\` takes the smaller file.\n`}
In a browser with \`pupil/web\`, which also says "none of these" where the model learned that:

\`\`\`js
import { loadModel } from 'pupil/web';

const classifier = await loadModel('https://huggingface.co/OWNER/${title}/resolve/main/onnx/model.onnx');
document.querySelector('input').onchange = async ({ target }) => {
  const { label, confidence, none } = await classifier.predict(target.files[0]);
  const sure = Math.round(100 * confidence);
  document.querySelector('p').textContent = none ? 'none of these' : \`\${label}, \${sure}% sure\`;
};
\`\`\`

On a command line: \`pupil predict hf:OWNER/${title} photo.jpg\`.
`;

/** The text of README.md. */
export const hubCard = (contents: HubCardContents): string =>
  `${heading(contents)}\n\n# ${escaped(contents.title)}\n\n${cardBody(contents.parts)}\n` +
  use(contents.title.replace(/[^\w.-]+/g, '-'), contents.smaller);
