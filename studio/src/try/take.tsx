/** What a finished run can be taken away as: files to download, and lines for a terminal that write the rest. */
import { Command, quoted } from '../parts/command.tsx';
import { folder } from '../state/folder.ts';
import { fileOf } from '../state/runs.ts';

/** Where runs are below the open folder. */
const runFolder = '.pupil/runs';

export function TakeAway({ run }: { readonly run: string }) {
  const photos = folder.value?.at === null ? null : (folder.value?.name ?? null);
  const path = quoted(photos === null ? run : `${photos}/${runFolder}/${run}`);
  return (
    <section class="card commands" aria-labelledby="take-away">
      <h2 id="take-away">Take it away</h2>
      <p class="buttons">
        <a class="button" href={fileOf(run, 'model.onnx')} download={`${run}.onnx`}>
          Download model.onnx
        </a>
        <a class="button" href={fileOf(run, 'model-card.md')} download={`${run}.md`}>
          Model card
        </a>
      </p>
      <p class="note">
        The file has classes and preparation inside, and runs in any onnxruntime. In a terminal, beside the folder:
      </p>
      <Command title="A web page that classifies" text={`pupil export ${path} --web page`} />
      {photos !== null && (
        <Command
          title="A quarter of the size"
          text={`pupil export ${path} --int8 ${quoted(photos)} --out small.onnx`}
        />
      )}
      <Command title="A folder for the hub and transformers.js" text={`pupil export ${path} --hub model`} />
      <Command title="An HTTP server" text={`pupil serve ${path}`} />
    </section>
  );
}
