export * from './netfront2';
