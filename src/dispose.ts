/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `Symbol.asyncDispose`, which `await using` looks for. Browsers and older runtimes may lack it; there `await using`
 * needs a polyfill anyway.
 */
export const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');
