/** What sections about images say while no folder is open, and how one is opened. */
import { folder } from '../state/folder.ts';
import { addressOf } from '../route.ts';
import { Command } from './command.tsx';

export function NoFolder() {
  return (
    <>
      <h1>No folder is open</h1>
      {folder.value?.canChoose === true ? (
        <p class="lead">
          <a href={addressOf('start')}>Choose a folder of images in Start.</a>
        </p>
      ) : (
        <section class="card commands">
          <p>
            This studio was started for a run alone: use it in <a href={addressOf('try')}>Try</a>. To label, check or
            augment images, start a studio that opens folders, in the folder that holds them.
          </p>
          <Command title="Open a folder" text="pupil studio" />
        </section>
      )}
    </>
  );
}
