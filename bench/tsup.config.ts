import { packageBuild } from '../tsup.config.base';

export default packageBuild({ entry: ['src/run.ts', 'src/baselines/clone-worker.ts'], dts: false });
