export * from './raw-byte-ring';
export * from './raw-vif-backend';
export * from './raw-vif-frontend';
export * from './raw-vif2-backend';
export * from './raw-vif2-frontend';
