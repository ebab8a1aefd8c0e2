import { readdirSync } from 'node:fs';
import { packageBuild } from '../tsup.config.base';

export default packageBuild({
  entry: readdirSync('src')
    .filter((file) => !file.endsWith('.test.ts'))
    .map((file) => `src/${file}`),
  dts: false,
  sourcemap: false,
});
