import open from 'open';

/** Opens an address in the user's browser; one that does not start is no reason to stop. */
export const openBrowser = async (address: string): Promise<void> => {
  await open(address).catch(() => undefined);
};
