import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Job } from '../job.js';
import { distill } from '../jobs/distill.js';
import { selfTrain } from '../jobs/self-train.js';
import { omit } from '../options/option.js';
import { train } from '../runs/train.js';
import { blobs, blobTraining } from '../testing/blobs.js';
import { pupil, type Captured } from '../testing/command-line.js';
import { startFileServer, type FileServer } from '../testing/file-server.js';
import { encodePng } from '../image/decode.js';
import { blob, temporaryFolder, writeTar } from '../testing/image-files.js';
import { refused, useOwnCache } from '../testing/kit.js';

/** Images at addresses that carry a signature: it is used, renewed, and written nowhere. */

useOwnCache();

interface Signed {
  readonly host: FileServer;
  at(name: string): string;
  /** The address of an archive, signed by a word: the only one that the host takes from now on. */
  sign(word: string): (archive: string) => string;
}

/** A host with labelled images, and others, in two archives each; it forbids what is not signed. */
async function signedHost(t: TestContext): Promise<Signed> {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  const files: Record<string, Uint8Array> = {};
  for (const [name, first] of [
    ['photos-0', 0],
    ['photos-1', 12],
    ['more-0', 30],
    ['more-1', 40],
  ] as const) {
    const path = at(`${name}.tar`);
    const images: Record<string, Uint8Array> = {};
    for (let i = 0; i < 12; i++) {
      const inside = name.startsWith('photos') ? `${i % 2 === 0 ? 'red' : 'blue'}/${i}.png` : `${i}.png`;
      images[inside] = await encodePng(blob(2 * (i % 2), first + i, 16));
    }
    await writeTar(path, images);
    files[`${name}.tar`] = readFileSync(path);
  }
  const host = await startFileServer(t, files);
  return {
    host,
    at,
    sign(word) {
      host.query = `?X-Sig=${word}`;
      return (archive) => `${host.address}/${archive}-{0..1}.tar?X-Sig=${word}`;
    },
  };
}

const words = (text: string): string[] => text.split(' ');

/** Whether a signature was said or written anywhere. */
function assertUnsaid(said: readonly Captured[], folder: string): void {
  for (const { out, err } of said) assert.doesNotMatch(out + err, /X-Sig|first|second/);
  const written = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.ok(written.length > 5);
  for (const { parentPath, name } of written)
    assert.doesNotMatch(readFileSync(join(parentPath, name), 'latin1'), /X-Sig/, join(parentPath, name));
}

interface Resumed {
  readonly command: string;
  /** Begins it, with a teacher for those that need one. */
  readonly start: (
    address: (archive: string) => string,
    told: { readonly teacher: string; readonly out: string; readonly signal: AbortSignal },
  ) => Job<{ readonly type: string }, unknown>;
  /** What it is told again to go on. */
  readonly again: (address: (archive: string) => string) => string[];
}

const training = { ...blobTraining, batchSize: 8, epochs: 2, engine: 'ort', preview: false } as const;
const student = omit(training, ['mode']);

const resumable: readonly Resumed[] = [
  {
    command: 'self-train',
    start: (address, { out, signal }) =>
      selfTrain(address('photos'), {
        ...{ ...training, folds: 0, rounds: 1, studentEpochs: 1, out, signal },
        unlabelled: [address('more')],
      }),
    again: (address) => [address('photos'), '--unlabelled', address('more')],
  },
  {
    command: 'distill',
    start: (address, { teacher, out, signal }) =>
      distill(address('photos'), { ...student, teachers: [teacher], unlabelled: [address('more')], out, signal }),
    again: (address) => [address('photos'), '--unlabelled', address('more')],
  },
  {
    command: 'distill',
    start: (address, { teacher, out, signal }) =>
      distill(undefined, { ...student, teachers: [teacher], unlabelled: [address('more')], out, signal }),
    again: (address) => ['--unlabelled', address('more')],
  },
];

/** A network that tells the blobs apart. */
const teacherIn = async (at: Signed['at']): Promise<string> =>
  (await train(blobs({ train: 8 }, 16), { ...training, epochs: 8, folds: 0, out: at('teacher') })).run;

for (const { command, start, again } of resumable) {
  const shown = again((archive) => archive).join(' ');
  test(`${command} ${shown}: no signature is kept, and it goes on with another`, async (t) => {
    const { host, at, sign } = await signedHost(t);
    const stop = new AbortController();
    const told = { teacher: await teacherIn(at), out: at('run'), signal: stop.signal };
    const said: string[] = [];
    await assert.rejects(
      async () => {
        for await (const event of start(sign('first'), told)) {
          said.push(JSON.stringify(event));
          if (event.type === 'step') stop.abort();
        }
      },
      refused('interrupted', /./),
    );
    const expired = sign('second');
    const unsigned = await pupil(command, '--resume', at('run'));
    assert.equal(unsigned.code, 2, unsigned.err);
    host.log.length = 0;
    const resumed = await pupil(command, ...again(expired), '--resume', at('run'), ...words('--threads 1 --workers 0'));
    assert.equal(resumed.code, 0, resumed.err);
    assert.ok(host.log.length > 0 && host.log.every((line) => line.includes('?X-Sig=second')), host.log.join('\n'));
    assertUnsaid([{ code: 0, out: said.join('\n'), err: '' }, unsigned, resumed], at('.'));
  });
}

test('pseudo-label in shards: no signature is kept, and other shards have another', async (t) => {
  const { at, sign } = await signedHost(t);
  const model = await teacherIn(at);
  const shard = (i: number, address: (archive: string) => string): Promise<Captured> =>
    pupil(
      ...['pseudo-label', address('more'), '--model', model, '--exclude', address('photos'), '--shard', `${i}/2`],
      ...words('--threshold 0 --batch-size 8 --workers 0'),
      ...['--out', at('parts')],
    );
  const said = [await shard(1, sign('first')), await shard(2, sign('second')), await shard(1, sign('second'))];
  said.push(await pupil('pseudo-label', '--merge', at('parts'), '--out', at('labels.csv')));
  for (const { code, err } of said) assert.equal(code, 0, err);
  assert.match(said[2]!.err, /is there already/);
  assertUnsaid(said, at('.'));
});
