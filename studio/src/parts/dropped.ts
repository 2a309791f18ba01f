/** Files that were dropped or chosen, with their place in the folders that came with them. */

export interface Dropped {
  /** Parts joined by `/`. */
  readonly path: string;
  readonly file: File;
}

/** Files of folders that are read at most. */
const most = 20_000;

export const isImageFile = ({ type, name }: File): boolean =>
  type.startsWith('image/') || /\.(jpe?g|png|gif|webp|tiff?|avif|bmp|hei[cf])$/i.test(name);

/** Chosen by an `input`: of a folder, each file says where it was. */
export const chosenFiles = (files: Iterable<File>): Dropped[] =>
  [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory;

/** A reader gives some entries at a time, and none at the end. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader(),
    all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0 || all.length >= most) return all;
    all.push(...some);
  }
}

async function* filesBelow(entry: FileSystemEntry): AsyncGenerator<Dropped> {
  if (entry.name.startsWith('.')) return;
  if (isFolder(entry)) {
    for (const below of await entriesOf(entry)) yield* filesBelow(below);
    return;
  }
  const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
  yield { path: entry.fullPath.replace(/^\//, ''), file };
}

/** What was dropped, folders with all that is in them. */
export async function droppedFiles(data: DataTransfer): Promise<Dropped[]> {
  // The list is empty once the event is over.
  const items = [...data.items].filter(({ kind }) => kind === 'file');
  const found = items.map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const all: Dropped[] = [];
  for (const { entry, file } of found) {
    if (entry === null || !entry.isDirectory) all.push(...(file === null ? [] : [{ path: file.name, file }]));
    else for await (const one of filesBelow(entry)) if (all.push(one) >= most) return all;
  }
  return all;
}

/** A single folder that holds nothing but folders says nothing by its name: its own folders come instead. */
export function withoutCommonFolder(all: readonly Dropped[]): Dropped[] {
  const parts = all.map(({ path }) => path.split('/'));
  const isWrapper = parts.length > 0 && parts.every((one) => one.length > 2 && one[0] === parts[0]![0]);
  return all.map((one, i) => (isWrapper ? { ...one, path: parts[i]!.slice(1).join('/') } : one));
}
