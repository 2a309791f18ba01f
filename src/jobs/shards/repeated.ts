/** Equal contents among very many. */

/** Hashes that are looked at in one pass: a table of some 200 MB. */
const together = 4_000_000;

/** A set of content hashes (32 hexadecimal digits) for so many of them. */
class HashSet {
  readonly #words: Uint32Array;
  readonly #isTaken: Uint8Array;

  constructor(count: number) {
    const places = 2 ** Math.ceil(Math.log2(2 * count + 2));
    this.#words = new Uint32Array(4 * places);
    this.#isTaken = new Uint8Array(places);
  }

  /** Adds a hash; false where it was there. */
  add(hash: string): boolean {
    const words = [0, 8, 16, 24].map((start) => parseInt(hash.slice(start, start + 8), 16));
    const last = this.#isTaken.length - 1;
    for (let place = words[1]! & last; ; place = (place + 1) & last) {
      if (this.#isTaken[place] === 0) {
        this.#isTaken[place] = 1;
        this.#words.set(words, 4 * place);
        return true;
      }
      if (words.every((word, i) => this.#words[4 * place + i] === word)) return false;
    }
  }
}

/**
 * Which of `count` rows have the content of an earlier one, as a bit for each. `pass` gives all hashes in
 * order, as often as it is called; '' is a content that is not known. Exact, in bounded memory: many rows
 * take several passes.
 */
export async function findRepeated(
  count: number,
  pass: (visit: (hash: string) => void) => Promise<void>,
  atOnce = together,
): Promise<{ has(row: number): boolean; readonly count: number }> {
  const bits = new Uint8Array(Math.ceil(count / 8));
  const passes = Math.max(1, Math.ceil(count / atOnce));
  let repeated = 0;
  for (let part = 0; part < passes; part++) {
    // Parts are as large as each other but for chance.
    const seen = new HashSet(Math.min(count, Math.ceil((1.1 * count) / passes) + 1000));
    let row = 0;
    await pass((hash) => {
      if (hash !== '' && parseInt(hash.slice(0, 8), 16) % passes === part && !seen.add(hash)) {
        bits[row >> 3]! |= 1 << (row & 7);
        repeated++;
      }
      row++;
    });
  }
  return { has: (row) => (bits[row >> 3]! & (1 << (row & 7))) !== 0, count: repeated };
}
