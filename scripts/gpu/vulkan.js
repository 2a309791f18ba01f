// Finds a loader and a driver of Vulkan on a machine where neither may lie where it is looked for: in a container the
// driver's libraries are often mounted without the file that names them.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Libraries that the archive brings. */
const brought = fileURLToPath(new URL('../../lib', import.meta.url));

/** Folders of drivers' descriptions and of libraries beside those that the loader knows. */
const descriptions = ['/usr/local/nvidia/share/vulkan/icd.d', '/usr/local/nvidia/vulkan/icd.d'];
const libraries = [
  ...['/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib', '/lib/x86_64-linux-gnu', '/lib64'],
  ...['/usr/local/nvidia/lib64', '/usr/local/nvidia/lib', '/usr/lib/wsl/lib'],
];

const variables = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'];
/** Both names of the variable: loaders before 1.3.207 know only the older. */
const naming = (file) => Object.fromEntries(variables.map((name) => [name, file]));

/** Descriptions of NVIDIA's driver, written to `folder` for libraries that are there. */
const written = (folder) =>
  libraries.flatMap((place) =>
    ['libGLX_nvidia.so.0', 'libEGL_nvidia.so.0'].flatMap((name, i) => {
      const library = join(place, name);
      if (!existsSync(library)) return [];
      const file = join(folder, `nvidia-${i}-${place.replaceAll('/', '-')}.json`);
      const description = { file_format_version: '1.0.0', ICD: { library_path: library, api_version: '1.3.0' } };
      writeFileSync(file, JSON.stringify(description));
      return [{ driver: `${library} (described here)`, environment: naming(file), folder: place }];
    }),
  );

/** Drivers to try: the one that is named, or what the loader finds and then what lies elsewhere. */
function drivers(given, folder) {
  if (given !== undefined) return [{ driver: given, environment: naming(given) }];
  const named = variables.map((name) => process.env[name]).find(Boolean);
  if (named !== undefined) return [{ driver: named, environment: {} }];
  const found = descriptions
    .filter((place) => existsSync(place))
    .flatMap((place) => readdirSync(place).map((name) => join(place, name)))
    .filter((file) => file.endsWith('.json'))
    .map((file) => ({ driver: file, environment: naming(file), folder: '/usr/local/nvidia/lib64' }));
  return [{ driver: 'as the loader finds it', environment: {} }, ...found, ...written(folder)];
}

/** The system's loader, then that of the archive, for each driver. */
const candidates = (given, folder) =>
  drivers(given, folder).flatMap(({ driver, environment, folder: place }) =>
    [[], existsSync(brought) ? [brought] : undefined].filter(Boolean).map((before) => {
      const path = [...before, ...(place === undefined ? [] : [place]), process.env.LD_LIBRARY_PATH].filter(Boolean);
      return {
        driver,
        environment: { ...environment, ...(path.length > 0 && { LD_LIBRARY_PATH: path.join(':') }) },
      };
    }),
  );

/** What Vulkan shows in such an environment. */
function devicesIn(environment) {
  const { stdout, stderr, error, signal } = spawnSync(
    process.execPath,
    [fileURLToPath(new URL('vulkan-devices.js', import.meta.url))],
    { encoding: 'utf8', timeout: 20_000, env: { ...process.env, VK_LOADER_DEBUG: 'error', ...environment } },
  );
  try {
    const answer = JSON.parse(stdout);
    const complaints = stderr.trim().split('\n').slice(-3).join(' | ').slice(0, 600);
    return answer.devices?.length > 0 || complaints === '' ? answer : { ...answer, complaints };
  } catch {
    return { error: error?.message ?? `the process ended${signal ? ` by ${signal}` : ''}: ${stderr.slice(-300)}` };
  }
}

/** Whether a device computes by itself, not on the processor. */
export const isGpu = ({ type }) => type !== 'CPU' && type !== 'other';

/**
 * The first way to a GPU, else to a software device: what the environment needs for it, the loader's file, the
 * driver, its devices; `attempts` has every try. Without any device `reason` says why. `folder`: where descriptions
 * of drivers may be written.
 */
export function findVulkan(folder, given) {
  const attempts = [];
  let software;
  for (const { driver, environment } of candidates(given, folder)) {
    const answer = devicesIn(environment);
    attempts.push({ driver, ...environment, ...answer });
    const found = { environment, driver, loader: answer.loader, devices: answer.devices };
    if (answer.devices?.some(isGpu)) return { ...found, attempts };
    if (answer.devices?.length > 0) software ??= found;
  }
  if (software) return { ...software, attempts };
  const last = attempts.at(-1);
  const tried = attempts.length === 1 ? '' : ` (the last of ${attempts.length} tries)`;
  return { environment: {}, devices: [], attempts, reason: `${last.error ?? 'no device of Vulkan'}${tried}` };
}
