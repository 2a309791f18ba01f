/** What the page and its worker say to each other about augmentation: plain data. */

export interface PolicyAsked {
  readonly kind: 'policy';
  /** As `augment` of training takes it. */
  readonly policy: string;
  readonly size: number;
  readonly seed: number;
  readonly flip: boolean;
  /** Share of the draws in which a box is erased. */
  readonly erase: number;
  /** Draws of each image, or mixed batches. */
  readonly count: number;
  /** Alphas; 0: off. Both 0: nothing is mixed. */
  readonly cutmix: number;
  readonly mixup: number;
}

export interface OpAsked {
  readonly kind: 'op';
  readonly op: string;
  readonly scale: string;
  /** undefined: across magnitudes. */
  readonly magnitude: number | undefined;
}

/** Every operation by magnitude, of the first image. */
export interface OpsAsked {
  readonly kind: 'ops';
  readonly scale: string;
}

export type Asked = PolicyAsked | OpAsked | OpsAsked;

export interface AskedImage {
  readonly id: number;
  readonly name: string;
  /** Of a label among `classes`; -1: none. */
  readonly label: number;
  /** Its file, the first time that it is asked for. */
  readonly file?: Blob | undefined;
}

export interface Request {
  readonly number: number;
  readonly asked: Asked;
  readonly images: readonly AskedImage[];
  readonly classes: readonly string[];
}

export interface Cell {
  readonly caption: string;
  readonly image: ImageData;
}

export interface Drawn {
  readonly title: string;
  readonly subtitle: string;
  /** Over the columns, where they mean something. */
  readonly columns: readonly string[];
  readonly rows: readonly { readonly label: string; readonly cells: readonly Cell[] }[];
  /** The policy as it is called in full. */
  readonly policy: string | null;
  /** Images that could not be decoded. */
  readonly broken: readonly string[];
}

export interface Response {
  readonly number: number;
  readonly result: Drawn | { readonly failed: string };
}
