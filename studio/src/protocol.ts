/** The types that the server and the page share: the one file of the server that the page knows. */
export type * from '../../src/studio/protocol.ts';
