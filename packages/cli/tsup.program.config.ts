import { packageBuild } from '../../tsup.config.base';

/** `nc2` in one piece, straight from the sources of all packages: seconds on a fresh machine, where a build of each takes a minute. */
export default packageBuild({
  entry: ['src/nc2.ts'],
  dts: false,
  clean: false,
  noExternal: [/^@netchannel2\//],
  external: ['commander', 'debug', 'koffi', 'rxjs'],
  esbuildOptions(options) {
    options.conditions = ['source'];
  },
});
