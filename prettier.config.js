/** The one layout of this project: `npm run format` writes it, `npm run lint` checks it. */
export default {
  printWidth: 120,
  singleQuote: true,
  quoteProps: 'consistent',
  trailingComma: 'all',
  overrides: [{ files: '*.md', options: { printWidth: 100, proseWrap: 'always' } }],
};
