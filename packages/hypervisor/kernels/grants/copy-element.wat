;; An element of GNTTABOP_copy (copy-argument.ts), 40 bytes: source 0 (domid and offset at 8), dest 16 (24), length and
;; flags 32, status 36.

;; Whether a grant of this element stays pinned because the next one names it too; a change of domains drops both.
(func $kept (param $element i32) (param $direction i32) (result i32)
  (local $again i32)
  (if (i32.ne (i32.load16_u offset=48 (local.get $element)) (i32.load16_u offset=8 (local.get $element)))
    (then (return (i32.const 0))))
  (if (i32.ne (i32.load16_u offset=64 (local.get $element)) (i32.load16_u offset=24 (local.get $element)))
    (then (return (i32.const 0))))
  ;; Bit 0 the source, bit 1 the destination, as in the flags.
  (local.set $again
    (i32.or
      (i32.eq (i32.load offset=40 (local.get $element)) (i32.load (local.get $element)))
      (i32.shl
        (i32.eq (i32.load offset=56 (local.get $element)) (i32.load offset=16 (local.get $element)))
        (i32.const 1))))
  (i32.and (local.get $again) (local.get $direction)))

;; The frame behind a side of an element that is not granted, -1 unless it is a page of the caller's.
(func $ownFrame (param $callerBlock i32) (param $side i32) (result i32)
  (if (i32.ne (i32.load16_u offset=8 (local.get $side)) (i32.const 0x7ff0)) (then (return (i32.const -1))))
  (if (i32.load offset=4 (local.get $side)) (then (return (i32.const -1))))
  (call $machineFrame (local.get $callerBlock) (i32.load (local.get $side))))
