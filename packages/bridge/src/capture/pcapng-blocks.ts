/** Numbers of the pcapng format (`draft-ietf-opsawg-pcapng`) that reader and writer share. */

export const BLOCK_SECTION_HEADER = 0x0a0d0d0a;
export const BLOCK_INTERFACE_DESCRIPTION = 1;
export const BLOCK_SIMPLE_PACKET = 3;
export const BLOCK_ENHANCED_PACKET = 6;
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

export const OPTION_END = 0;
export const OPTION_SHB_USERAPPL = 4;
export const OPTION_IF_NAME = 2;
export const OPTION_IF_DESCRIPTION = 3;
export const OPTION_IF_TSRESOL = 9;
export const OPTION_EPB_FLAGS = 2;

/** Lowest bits of the flags of a packet. */
export const EPB_INBOUND = 1;
export const EPB_OUTBOUND = 2;

/** Type, length, and the length again at the end. */
export const BLOCK_OVERHEAD = 12;

/** Everything in a block starts at a multiple of four bytes. */
export const padded = (length: number): number => (length + 3) & ~3;
