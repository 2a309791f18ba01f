/** A result as JSON for other programs: with the version of its form, first. */
export const inForm = <Result extends object>(result: Result): { readonly schema: 1 } & Result => ({
  schema: 1,
  ...result,
});
