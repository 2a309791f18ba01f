/** How the library is installed where a package manager has it. */
const packages: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'apt-get install libdnnl2',
  darwin: 'brew install onednn',
};

/**
 * How to get the library on this system, without words around it; undefined where no package
 * manager is known to have it.
 */
export const howToGet = (platform: NodeJS.Platform = process.platform): string | undefined => packages[platform];

/** A few words for a run that would be faster with the library. */
export function advice(
  environment: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  const path = environment['PUPIL_ONEDNN'];
  if (path) return `PUPIL_ONEDNN=${path} cannot be used, \`engine: onednn\` says why`;
  return `a faster one: ${howToGet(platform) ?? 'oneDNN, see docs/onednn.md'}`;
}
