import tseslint from 'typescript-eslint';

/**
 * Names of the browser that TypeScript knows everywhere, since a few files work in one: elsewhere a
 * forgotten import of our own `Node` or `Image` would compile against these.
 */
const browserNames = [
  ...['Animation', 'Attr', 'Cache', 'Comment', 'Document', 'Element', 'Event', 'History', 'Image', 'Location', 'Lock'],
  ...['Node', 'Notification', 'Option', 'Plugin', 'Range', 'Report', 'Request', 'Screen', 'Selection', 'Storage'],
  ...['Text', 'Window', 'Worker', 'alert', 'blur', 'close', 'closed', 'confirm', 'document', 'event', 'external'],
  ...['find', 'focus', 'frames', 'history', 'length', 'location', 'name', 'open', 'orientation', 'origin', 'parent'],
  ...['print', 'prompt', 'screen', 'scroll', 'self', 'status', 'stop', 'top', 'window'],
];

/** ESLint's no-restricted-globals, of types too. */
const noBrowserNames = {
  create: (context) => ({
    Program(program) {
      const { variables, through } = context.sourceCode.getScope(program);
      const declaredNowhere = variables.filter(({ defs }) => defs.length === 0).flatMap(({ references }) => references);
      for (const { identifier } of [...declaredNowhere, ...through])
        if (browserNames.includes(identifier.name))
          context.report({ node: identifier, message: `'${identifier.name}' is the browser's: import or declare it` });
    },
  }),
};

// Rules that find mistakes, and limits of size; layout is the formatter's. Types are needed by most.
export default tseslint.config(
  { ignores: ['dist/', 'build/', '.build*/', 'node_modules/', 'src/**/generated/', 'runs/'] },
  {
    files: ['src/**/*.ts', '{studio,web-demo}/src/**/*.{ts,tsx}'],
    extends: [tseslint.configs.base],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', name: ['test', 'describe', 'suite', 'it'], package: 'node:test' },
          ],
        },
      ],
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false } }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-for-in-array': 'error',
      '@typescript-eslint/no-array-delete': 'error',
      '@typescript-eslint/no-duplicate-type-constituents': 'error',
      '@typescript-eslint/no-implied-eval': 'error',
      '@typescript-eslint/no-unnecessary-type-assertion': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/prefer-promise-reject-errors': 'error',
      '@typescript-eslint/require-array-sort-compare': ['error', { ignoreStringArrays: true }],
      '@typescript-eslint/restrict-plus-operands': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/no-unused-expressions': 'error',
      'eqeqeq': 'error',
      'no-constant-binary-expression': 'error',
      'no-debugger': 'error',
      'no-duplicate-imports': 'off',
      'no-fallthrough': 'error',
      'no-self-compare': 'error',
      'no-template-curly-in-string': 'error',
      'no-unsafe-finally': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/web.ts', 'src/report/charts.ts'],
    plugins: { pupil: { rules: { 'no-browser-names': noBrowserNames } } },
    rules: { 'pupil/no-browser-names': 'error' },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'max-len': ['error', { code: 120, ignoreUrls: true, ignoreRegExpLiterals: true }],
      'max-lines': ['error', 450],
      'max-params': ['error', 5],
      'max-lines-per-function': ['error', 80],
    },
  },
  {
    files: ['{studio,web-demo}/src/**/*.{ts,tsx}'],
    rules: {
      'max-len': ['error', { code: 120, ignoreUrls: true, ignoreRegExpLiterals: true }],
      'max-lines': ['error', 200],
      'max-params': ['error', 5],
      'max-lines-per-function': ['error', 80],
    },
  },
  { files: ['src/**/*.test.ts', 'src/testing/**'], rules: { 'max-lines-per-function': 'off' } },
  {
    files: ['scripts/**/*.js', 'tools/*.js', '*.js'],
    extends: [tseslint.configs.base],
    rules: { 'eqeqeq': 'error', 'no-var': 'error', 'prefer-const': 'error', 'no-debugger': 'error' },
  },
  {
    files: ['scripts/**/*.js', 'bench/**/*.js', 'tools/*.js', '*.js'],
    // the head of a Markdown table is one line
    rules: { 'max-len': ['error', { code: 120, ignoreUrls: true, ignorePattern: '^\\| ' }] },
  },
);
