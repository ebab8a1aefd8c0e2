/**
 * Offsets of the shared_info page of an x86-64 guest (spec event-channels.md §2.1), in 32-bit words. The 64-bit words
 * of the bitmaps are addressed as two halves, which is equivalent because every bit stands alone.
 */
export const SharedInfo = {
  /** `vcpu_info[i]` starts at word 16 i. */
  vcpuInfoShift: 4,
  /** `evtchn_upcall_pending` is byte 0 of this word of vcpu_info, `evtchn_upcall_mask` byte 1. */
  upcall: 0,
  /** `evtchn_pending_sel`, low and high half. */
  selector: 2,
  /** `evtchn_pending[]`. */
  pending: 512,
  /** `evtchn_mask[]`. */
  mask: 640,
  /** Words of each bitmap. */
  bitmapWords: 128,
} as const;

export const UPCALL_PENDING = 1;
/** The whole byte that holds the flag. */
export const UPCALL_PENDING_BYTE = 0xff;
export const UPCALL_MASK_BYTE = 0xff00;
