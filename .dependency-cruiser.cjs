/**
 * The floors of the house (docs/architecture.md): a package imports only from floors below it, as its table says.
 * `npm test` fails on a breach.
 */
const floors = {
  xen: [],
  frames: ['xen'],
  'grant-table': ['xen'],
  xenstore: ['xen'],
  netif: ['xen'],
  netchannel2: ['xen'],
  hypervisor: ['grant-table', 'xenstore', 'xen'],
  'xen-host': ['xenstore', 'xen'],
  'device-registry': ['xenstore', 'xen'],
  'netchannel2-link': ['netchannel2', 'frames', 'xen'],
  netfront: ['netif', 'device-registry', 'frames', 'xen'],
  netback: ['netif', 'device-registry', 'frames', 'xen'],
  netfront2: ['netchannel2-link', 'netchannel2', 'device-registry', 'frames', 'xen'],
  netback2: ['netchannel2-link', 'netchannel2', 'device-registry', 'frames', 'xen'],
  bridge: ['frames', 'xen'],
  tap: ['frames', 'xen'],
};
/** Top floor: may import everything below. */
const topFloor = ['testing', 'cli'];

const packages = [...Object.keys(floors), ...topFloor];

const floorRules = Object.entries(floors).map(([name, below]) => ({
  name: `floor-${name}`,
  comment: `${name} may import only ${below.join(', ') || 'nothing of this repository'}`,
  severity: 'error',
  from: { path: `^packages/${name}/src/` },
  to: {
    path: `^packages/(${packages.filter((other) => other !== name && !below.includes(other)).join('|')})/`,
  },
}));

module.exports = {
  forbidden: [
    ...floorRules,
    {
      name: 'nothing-imports-cli',
      comment: 'only tests call what the command line is made of',
      severity: 'error',
      from: { pathNot: '^(packages/cli|test)/' },
      to: { path: '^packages/cli/' },
    },
    {
      name: 'testing-is-for-tests',
      comment: 'testing is imported only by tests, examples and cli',
      severity: 'error',
      from: { path: '^packages/', pathNot: '^packages/(testing|cli)/' },
      to: { path: '^packages/testing/' },
    },
    {
      name: 'only-the-entry-of-another-package',
      comment: 'packages meet at their index, not inside each other',
      severity: 'error',
      from: { path: '^packages/([^/]+)/' },
      to: { path: '^packages/([^/]+)/src/(?!index\\.ts$)', pathNot: '^packages/$1/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-unresolved',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '\\.generated$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|node_modules|\\.turbo)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['source', 'import', 'node', 'default'],
    },
  },
};
