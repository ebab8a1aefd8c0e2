export * from './netback2';
