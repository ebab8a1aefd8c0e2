/**
 * A TAP device of Linux as a frame port.
 *
 * @packageDocumentation
 */
export { TapError } from './tap-error';
export { openTapFile, pieceList, setPiece, type TapFile, type TapOptions } from './tap-file';
export { type TapDrop, TapPort, type TapPortOptions } from './tap-port';
