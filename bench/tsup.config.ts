import { packageBuild } from '../tsup.config.base';

/** Bundled whole, from sources, so that a measurement needs no other build and inlining crosses packages as in a user's bundle. */
export default packageBuild({
  entry: [
    'src/run.ts',
    'src/measure.ts',
    'src/baselines/clone-worker.ts',
    'src/paths/guest.worker.ts',
    'src/grants/rival.worker.ts',
  ],
  dts: false,
  noExternal: [/^@netchannel2\//],
  external: ['debug', 'rxjs', 'commander'],
  esbuildOptions(options) {
    options.conditions = ['source'];
  },
});
