export * from './frame-difference';
export * from './frame-sequence';
export * from './hostile';
export * from './lab/virtual-clock';
export * from './lab/wired-device';
export * from './seeded-random';
