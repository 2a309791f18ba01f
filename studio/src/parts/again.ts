/** Pictures that did not come, as the server was gone. */
import { useState } from 'preact/hooks';
import { returned } from '../state/requests.ts';

/** For an `img` of this address: one that failed is asked for again once the server answers again. */
export function useAgain(address: string): { readonly src: string; readonly onError: () => void } {
  const [failed, setFailed] = useState<string | null>(null);
  const isAgain = failed === address && returned.value > 0;
  return {
    src: isAgain ? `${address}${address.includes('?') ? '&' : '?'}again=${returned.value}` : address,
    onError: () => setFailed(address),
  };
}
