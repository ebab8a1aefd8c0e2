export * from './frame-difference';
export * from './frame-sequence';
export * from './seeded-random';
