/** What stands in a part beside its rows, and how its reader is asked for them. */

/** The header among the texts of a Parquet file. */
export const headerKey = 'pupil';
/** How many bytes are before the texts, and the SHA-256 (hexadecimal) of these and the header. */
export const checksumKey = 'pupil-sha256';

/** What is asked of a file: its rows from one to another, or (without) what stands beside them. */
export interface PartRequest {
  readonly path: string;
  readonly rows?: { readonly from: number; readonly to: number; readonly columns: readonly string[] } | undefined;
}

/** What stands beside the rows of a file. */
export interface PartTexts {
  readonly texts: Readonly<Record<string, string>>;
  readonly columns: readonly string[];
  /** Rows of each group. */
  readonly groups: readonly number[];
}
