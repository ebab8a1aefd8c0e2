export * from './domain-copies';
export * from './drop-reasons';
export * from './link';
export * from './link-settings';
export * from './port';
