;; Where a domain's host mappings lie: its physmap (guest-frames.ts), at 28 of its block, from the guest frame at 32 on, as
;; many as at 36. An item is a frame with the kind of mapping in its top four bits: 2 writable, 3 read-only.

;; Address of the item of a host address, 0 if there is none.
(func $windowSlot (param $block i32) (param $address i32) (result i32)
  (local $index i32)
  (local.set $index
    (i32.sub (i32.shr_u (local.get $address) (i32.const 12)) (i32.load offset=32 (local.get $block))))
  (if (i32.ge_u (local.get $index) (i32.load offset=36 (local.get $block))) (then (return (i32.const 0))))
  (i32.shl (i32.add (i32.load offset=28 (local.get $block)) (local.get $index)) (i32.const 2)))

;; What the item of a mapping of a frame is, by the GNTMAP_readonly bit of its flags.
(func $windowItem (param $frame i32) (param $flags i32) (result i32)
  (i32.or
    (local.get $frame)
    (select
      (i32.const 0x30000000)
      (i32.const 0x20000000)
      (i32.and (local.get $flags) (i32.const 4)))))
