/** A thread that reads a folder: which files are images, what their contents are, and which classes its folders say. */
import { scanFolder } from '../data/scan-folder.js';
import type { Entry } from '../data/scan.js';
import { answer } from '../threads/answer.js';
import { classFolders } from './class-folders.js';
import { isImageName } from './paths.js';
import type { Row, Scanned, ScanRequest } from './scan.js';
import { shareProgress } from './shared-progress.js';

let rows: readonly Row[] = [];

answer<ScanRequest>((request) => {
  if (request.kind === 'scan') return scan(request.root, request.progress);
  return rows.slice(request.from, request.from + request.count);
});

async function scan(root: string, progress: Int32Array): Promise<Scanned> {
  const onProgress = (done: number, total: number): void => shareProgress(progress, done, total);
  const found = await scanFolder(root, { inside: true, onProgress });
  const { labels, note } = classFolders(found);
  rows = [...found.entries].flatMap((entry): Row[] => {
    const { name, problem } = entry;
    if (problem === undefined) return [{ name, className: labels.get(name), image: sampleFrom(entry) }];
    // Texts and lists beside images do not mean to be any.
    return isImageName(name) ? [{ name, image: { problem } }] : [];
  });
  return { rows: rows.length, note };
}

const sampleFrom = ({ path, source, hash, format, bytes }: Entry) =>
  ({ path, source, hash, format, bytes, label: -1, split: 'unlabelled' }) as const;
