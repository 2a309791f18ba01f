import { readFile, readdir, stat } from 'node:fs/promises';
import { sep } from 'node:path';
import type { Preprocessing } from '../data/preprocessing.js';
import { PupilError } from '../errors.js';
import { HttpStatusError } from '../http/request.js';
import { defaultModel } from './default-model.js';
import { isBuiltIn } from './families/index.js';
import {
  defaultCacheDirectory,
  hasContent,
  insideCache,
  isIntact,
  linkSnapshot,
  readLicence,
  readReference,
  repositoryFolder,
  snapshotPath,
  storeBlob,
  sweepDownloads,
  writeLicence,
  writeReference,
} from './hub-cache.js';
import {
  hubClient,
  hubLimits,
  isSafePath,
  repositoryPattern,
  revisionPattern,
  type HubClient,
  type HubLimits,
  type RemoteFile,
} from './hub-client.js';
import { hubArchitecture, hubLabels, hubPreprocessing } from './hub-config.js';
import { suggestion } from '../nearest.js';
import { architectureOf, isWeights } from './weights.js';

/**
 * Models from the Hugging Face hub, ONNX files and timm's weights:
 * `hf:owner/repo[@revision][/file]`, kept in a local cache and checked by hash.
 */

export interface HubOptions {
  /** Address of the hub; default: HF_ENDPOINT, else the public one. */
  readonly endpoint?: string;
  /** Access token; default: HF_TOKEN. Sent to the endpoint only. */
  readonly token?: string;
  /** Default: HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub. */
  readonly cacheDirectory?: string;
  /** Use the cache only; default: whether HF_HUB_OFFLINE is 1. */
  readonly offline?: boolean;
  /** Called before the first byte is downloaded (not when all is cached). */
  readonly announce?: (remote: RemoteModel) => void;
  readonly progress?: (event: DownloadProgress) => void;
  readonly signal?: AbortSignal;
  readonly limits?: Partial<HubLimits>;
}

export interface DownloadProgress {
  readonly file: string;
  /** Bytes of all files so far, and in all. */
  readonly received: number;
  readonly total: number;
}

/** What a repository offers, known before anything is downloaded. */
export interface RemoteModel {
  readonly repository: string;
  readonly revision: string;
  readonly commit: string;
  /** The ONNX file, or timm's weights. */
  readonly file: string;
  /** Everything to fetch: the model, its external data, its configuration. */
  readonly files: readonly RemoteFile[];
  /** Bytes of all files. */
  readonly size: number;
  /** As the repository states it (or the one it was made from); undefined when none does. */
  readonly license: string | undefined;
}

/** A model's files on this machine and what its configuration says. */
export interface PulledModel {
  /** The ONNX file, external data beside it, or timm's weights. */
  readonly path: string;
  readonly repository: string;
  readonly commit: string;
  readonly preprocessing: Preprocessing | undefined;
  readonly labels: readonly string[] | undefined;
  readonly architecture: string | undefined;
  /** As the hub stated it when it was last asked. */
  readonly licence: string | undefined;
}

interface Spec {
  readonly repository: string;
  readonly revision: string;
  readonly file: string | undefined;
}

const specPattern = new RegExp(`^hf:(${repositoryPattern})(?:@(${revisionPattern}))?(?:/(.+))?$`);

/** Reads `hf:owner/repo[@revision][/file]`. Throws `usage` when it is not of that form. */
export function parseHubSpec(text: string): Spec {
  const match = specPattern.exec(text);
  const file = match?.[3];
  if (!match || (file !== undefined && !isSafePath(file))) {
    throw new PupilError(
      'usage',
      `${text}: expected hf:owner/repo, hf:owner/repo/file.onnx or hf:owner/repo@revision, such as ${defaultModel}`,
    );
  }
  return { repository: match[1]!, revision: match[2] ?? 'main', file };
}

const endpointOf = (options: HubOptions): string =>
  (options.endpoint ?? (process.env['HF_ENDPOINT'] || 'https://huggingface.co')).replace(/\/+$/, '');

function clientOf(options: HubOptions): HubClient {
  const endpoint = endpointOf(options);
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol))
    throw new PupilError('usage', `HF_ENDPOINT ${endpoint}: not an address such as https://huggingface.co`);
  return hubClient({
    endpoint,
    token: options.token ?? process.env['HF_TOKEN'],
    signal: options.signal,
    limits: options.limits,
  });
}

const isAbort = (error: unknown, options: HubOptions): boolean =>
  options.signal?.aborted === true || (error as Error)?.name === 'AbortError';

/** One line for what went wrong on the way to the hub. */
function hubError(error: unknown, what: string, options: HubOptions): unknown {
  if (isAbort(error, options))
    return new PupilError('interrupted', `${what}: the download was interrupted`, { cause: error });
  if (error instanceof PupilError) {
    const named = error.code !== 'network' || error.message.startsWith(what);
    return named ? error : new PupilError('network', `${what}: ${error.message}`, { cause: error });
  }
  if (error instanceof HttpStatusError) {
    if (error.status === 404)
      return new PupilError('not-found', `${what}: the hub has no such repository, revision or file; check the name`);
    if (error.status === 401 || error.status === 403) {
      return new PupilError(
        'bad-path',
        `${what}: not there or not allowed (HTTP ${error.status}); check the name, ` +
          'or set HF_TOKEN to a token that may read it',
      );
    }
    return new PupilError('network', `${what}: the hub answered HTTP ${error.status}; try again later`);
  }
  const cause = (error as Error)?.cause as NodeJS.ErrnoException | undefined;
  const reason = cause?.code ?? cause?.message ?? (error instanceof Error ? error.message : String(error));
  return new PupilError(
    'network',
    `${what}: cannot reach ${endpointOf(options)} (${reason}); offline, download the ONNX file elsewhere ` +
      'and give its path instead',
    { cause: error, option: 'model' },
  );
}

/** Variants that are not plain float32, by their usual names. */
const reduced = /(^|[._-])(quantized|int8|uint8|u?int4|q4|q4f16|q8|bnb4|fp16|float16|bf16)([._-]|$)/i;

const weightsFile = 'model.safetensors';
const hasWeights = (paths: readonly string[]): boolean => paths.includes(weightsFile) && paths.includes('config.json');

/**
 * The file meant when none is named: model.onnx, onnx/model.onnx, the only ONNX file in full
 * precision, or without any the weights of timm.
 */
function chooseFile(paths: readonly string[], what: string, named: string | undefined): string {
  const models = paths.filter((path) => path.endsWith('.onnx'));
  if (named !== undefined) {
    if (paths.includes(named)) return named;
    throw new PupilError('not-found', `${what}: the repository has no file ${named}; ${suggestion(named, models)}`);
  }
  for (const usual of ['model.onnx', 'onnx/model.onnx']) if (models.includes(usual)) return usual;
  const full = models.filter(
    (path) =>
      !reduced.test(
        path
          .split('/')
          .at(-1)!
          .replace(/\.onnx$/, ''),
      ),
  );
  if (full.length === 1) return full[0]!;
  if (models.length === 0 && hasWeights(paths)) return weightsFile;
  if (models.length === 0)
    throw new PupilError(
      'not-found',
      `${what}: the repository has no ONNX file (nor timm's model.safetensors with a config.json); ` +
        'choose one that has, or export it to ONNX',
    );
  const shown = models.slice(0, 6).join(', ') + (models.length > 6 ? ', ...' : '');
  throw new PupilError('usage', `${what}: several ONNX files, name one as ${what}/${models[0]!} (there are ${shown})`);
}

/**
 * The model, its external data (model.onnx_data, model.onnx.data...) and the configuration at the
 * repository's root.
 */
const wantedFiles = (paths: readonly string[], file: string): string[] =>
  paths.filter(
    (path) =>
      path === file ||
      path === 'config.json' ||
      path === 'preprocessor_config.json' ||
      (path.startsWith(file) && /^[._]data[^/]*$/.test(path.slice(file.length))),
  );

/**
 * What `hf:owner/repo[@revision][/file]` would download: file, size, licence (of the model it was
 * made from, when it states none). Throws `not-found` or `network` in one line.
 */
export async function describeRemote(text: string, options: HubOptions = {}): Promise<RemoteModel> {
  const spec = parseHubSpec(text);
  const what = `hf:${spec.repository}`;
  try {
    const client = clientOf(options);
    const info = await client.info(spec.repository, spec.revision);
    const entries = await client.list(spec.repository, info.commit);
    const paths = entries.map((entry) => entry.path);
    const file = chooseFile(paths, what, spec.file);
    const wanted = new Set(wantedFiles(paths, file));
    const files = entries.filter((entry) => wanted.has(entry.path));
    if (isWeights(file)) {
      // Known before the weights are fetched.
      const config = wanted.has('config.json')
        ? parseJson(
            await textOf(client.file(spec.repository, info.commit, { path: 'config.json' })),
            `${what}/config.json`,
          )
        : undefined;
      architectureOf(`${what}/${file}`, hubArchitecture(config));
    }
    const origin = info.license === undefined ? info.origin : undefined;
    const license =
      origin === undefined
        ? info.license
        : await client.info(origin, 'HEAD').then(
            (made) => made.license,
            () => undefined,
          );
    return {
      repository: spec.repository,
      revision: spec.revision,
      commit: info.commit,
      file,
      files,
      size: files.reduce((sum, { size }) => sum + size, 0),
      license,
    };
  } catch (error) {
    throw hubError(error, what, options);
  }
}

/** `owner/repo: onnx/model.onnx, 15.1 MB, licence apache-2.0`. */
export const formatRemote = (remote: RemoteModel): string =>
  `${remote.repository}: ${remote.file}, ${(remote.size / 1e6).toFixed(1)} MB, ` +
  (remote.license === undefined ? 'no licence stated' : `licence ${remote.license}`);

/**
 * Fetches a model from the hub into the cache, or finds it there; every file's hash is checked,
 * cached or not. Without a connection the cache alone is used. Nothing half-written stays behind.
 * Throws `not-found`, `network`, `io`, `bad-path` or `interrupted` in one line.
 */
export async function pullModel(text: string, options: HubOptions = {}): Promise<PulledModel> {
  const spec = parseHubSpec(text);
  const cache = options.cacheDirectory ?? defaultCacheDirectory();
  const folder = repositoryFolder(cache, spec.repository);
  await insideCache(cache, folder);
  await sweepDownloads(folder);
  if (options.offline ?? /^(1|true|yes|on)$/i.test(process.env['HF_HUB_OFFLINE'] ?? '')) {
    const cached = await fromCache(folder, spec);
    if (cached) return cached;
    throw new PupilError(
      'not-found',
      `hf:${spec.repository}: not in the cache, and HF_HUB_OFFLINE is set; ` +
        'give the path of an ONNX file as the model instead',
      { option: 'model' },
    );
  }
  let remote: RemoteModel;
  try {
    remote = await describeRemote(text, options);
  } catch (error) {
    const isElsewhere = error instanceof PupilError && (error.code === 'network' || error.code === 'bad-path');
    const cached = isElsewhere ? await fromCache(folder, spec) : undefined;
    if (cached) return cached;
    throw error;
  }
  await fetchMissing(folder, remote, options);
  for (const file of remote.files) await linkSnapshot(folder, remote.commit, file);
  if (remote.license !== undefined) await writeLicence(folder, remote.commit, remote.license);
  if (spec.revision !== remote.commit) await writeReference(folder, spec.revision, remote.commit);
  return opened(folder, remote);
}

async function fetchMissing(folder: string, remote: RemoteModel, options: HubOptions): Promise<void> {
  const missing: RemoteFile[] = [];
  for (const file of remote.files) {
    const blob = `${folder}${sep}blobs${sep}${file.hash}`;
    await insideCache(folder, blob);
    if (!(await hasContent(blob, file))) missing.push(file);
  }
  if (missing.length === 0) return;
  options.announce?.(remote);
  const total = missing.reduce((sum, { size }) => sum + size, 0);
  const client = clientOf(options);
  let before = 0;
  for (const file of missing) {
    const what = `hf:${remote.repository}/${file.path}`;
    try {
      await storeBlob(folder, file, client.file(remote.repository, remote.commit, file), what, (bytes) =>
        options.progress?.({ file: file.path, received: before + bytes, total }),
      );
    } catch (error) {
      throw hubError(error, what, options);
    }
    before += file.size;
  }
}

/** What an earlier download left, when all of it is intact. */
async function fromCache(folder: string, spec: Spec): Promise<PulledModel | undefined> {
  const commit = await readReference(folder, spec.revision);
  if (commit === undefined) return undefined;
  const root = snapshotPath(folder, commit, '.');
  await insideCache(folder, root);
  const paths = (await readdir(root, { recursive: true }).catch(() => []))
    .map((path) => path.split(sep).join('/'))
    .filter(isSafePath);
  if (!paths.some((path) => path.endsWith('.onnx')) && !hasWeights(paths)) return undefined;
  const file = chooseFile(paths, `hf:${spec.repository}`, spec.file);
  for (const path of wantedFiles(paths, file))
    if (!(await isIntact(folder, snapshotPath(folder, commit, path)))) return undefined;
  const model = await opened(folder, { repository: spec.repository, commit, file });
  // Another program may have left its weights of a model that comes as ONNX too.
  return isWeights(file) && !isBuiltIn(model.architecture ?? '') ? undefined : model;
}

async function opened(
  folder: string,
  model: Pick<RemoteModel, 'repository' | 'commit' | 'file'>,
): Promise<PulledModel> {
  const json = async (path: string): Promise<unknown> => {
    const what = `hf:${model.repository}/${path}`;
    const place = snapshotPath(folder, model.commit, path);
    const size = (await stat(place).catch(() => undefined))?.size;
    if (size === undefined) return undefined;
    if (size > hubLimits.json)
      throw new PupilError('bad-model', `${what}: ${size} bytes are too many for a configuration; use another model`);
    return parseJson(await readFile(place, 'utf8'), what);
  };
  const config = await json('config.json');
  return {
    path: snapshotPath(folder, model.commit, model.file),
    repository: model.repository,
    commit: model.commit,
    preprocessing: hubPreprocessing(await json('preprocessor_config.json'), config),
    labels: hubLabels(config),
    architecture: hubArchitecture(config),
    licence: await readLicence(folder, model.commit),
  };
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new PupilError(
      'bad-model',
      `${what}: not JSON; give \`size\` and \`normalize\` with a downloaded file instead`,
    );
  }
}

async function textOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of bytes) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}
