/** What a finished run can be taken away as: files to download, and lines for a terminal that write the same. */
import { Bar } from '../parts/bar.tsx';
import { Command, quoted } from '../parts/command.tsx';
import type { RunSummary, TakeAwayForm } from '../protocol.ts';
import { folder } from '../state/folder.ts';
import { attempt } from '../state/notices.ts';
import { fileOf, runs } from '../state/runs.ts';
import { takeAway, taking } from './taking.ts';

/** Where runs are below the open folder. */
const runFolder = '.pupil/runs';

interface FormRow {
  readonly form: TakeAwayForm;
  readonly title: string;
  readonly says: string;
  readonly fileOf: (run: string) => string;
}

const small: FormRow = {
  form: 'int8',
  title: 'Smaller model',
  says: 'A quarter of the size: whole numbers of 8 bits, scaled by your photos. Answers differ a little.',
  fileOf: (run) => `${run}-int8.onnx`,
};
const folders: readonly FormRow[] = [
  {
    form: 'web',
    title: 'Web page',
    says: "A ZIP file with a page that classifies in the visitor's browser. Unpack it on any web host.",
    fileOf: (run) => `${run}-web.zip`,
  },
  {
    form: 'hub',
    title: 'Folder for the Hugging Face hub',
    says: 'A ZIP file for transformers.js and Optimum, with its model card.',
    fileOf: (run) => `${run}.zip`,
  },
];

const Made = ({ run, row: { form, title, says, fileOf: nameOf } }: { readonly run: string; readonly row: FormRow }) => {
  const now = taking.value;
  const isMade = now?.run === run && now.form === form;
  return (
    <li>
      <span>
        <b>{title}</b> <small>{says}</small>
      </span>
      <button
        aria-label={`Download: ${title}`}
        aria-disabled={now !== null}
        onClick={() => attempt(() => takeAway(run, form, nameOf(run)))}
      >
        {isMade ? 'Being made…' : 'Download'}
      </button>
      {isMade && <Bar label={`${title}: being made`} done={now.done} />}
    </li>
  );
};

interface FileRow {
  readonly run: string;
  readonly file: string;
  readonly title: string;
  readonly says: string;
  readonly as: string;
}

const Ready = ({ run, file, title, says, as }: FileRow) => (
  <li>
    <span>
      <b>{title}</b> <small>{says}</small>
    </span>
    <a class="button" aria-label={`Download: ${title}`} href={fileOf(run, file)} download={as}>
      Download
    </a>
  </li>
);

/** What whoever passes the model on has to know. */
function Licences({ origins = [] }: Pick<RunSummary, 'origins'>) {
  if (origins.length === 0) return null;
  return (
    <p class="note">
      {origins.map(({ name, licence }) =>
        licence === null
          ? `The licence of ${name ?? 'the network that it began as'} is unknown: ask before you pass the model on. `
          : `It comes from ${name ?? 'a network'}, which has the licence ${licence}: keep to it when you pass the ` +
            'model on. ',
      )}
    </p>
  );
}

export function TakeAway({ run }: { readonly run: string }) {
  const photos = folder.value?.at === null ? null : (folder.value?.name ?? null);
  const path = quoted(photos === null ? run : `${photos}/${runFolder}/${run}`);
  const made = photos === null ? folders : [small, ...folders];
  return (
    <section class="card commands" aria-labelledby="take-away">
      <h2 id="take-away">Take it away</h2>
      <ul class="forms">
        <Ready
          {...{ run, file: 'model.onnx', title: 'Model', as: `${run}.onnx` }}
          says="An ONNX file, with classes and preparation inside. Runs in any onnxruntime."
        />
        {made.map((row) => (
          <Made key={row.form} run={run} row={row} />
        ))}
        <Ready
          {...{ run, file: 'model-card.md', title: 'Model card', as: `${run}.md` }}
          says="What it was trained on, and how well it does."
        />
      </ul>
      <Licences origins={runs.value.find(({ name }) => name === run)?.origins} />
      <details>
        <summary>In a terminal</summary>
        <p class="note">Beside the folder, these lines write the same, and start a server:</p>
        <Command title="A web page that classifies" text={`pupil export ${path} --web page`} />
        {photos !== null && (
          <Command
            title="A quarter of the size"
            text={`pupil export ${path} --int8 ${quoted(photos)} --out small.onnx`}
          />
        )}
        <Command title="A folder for the hub and transformers.js" text={`pupil export ${path} --hub model`} />
        <Command title="An HTTP server" text={`pupil serve ${path}`} />
      </details>
    </section>
  );
}
