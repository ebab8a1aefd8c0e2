/** Tests named from the repository's root read the sources too, not what was built last. */
export { default } from './vitest.config.base';
