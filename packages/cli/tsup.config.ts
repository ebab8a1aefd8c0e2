import { packageBuild } from '../../tsup.config.base';

export default packageBuild({ entry: ['src/index.ts', 'src/nc2.ts'], dts: { entry: 'src/index.ts' } });
