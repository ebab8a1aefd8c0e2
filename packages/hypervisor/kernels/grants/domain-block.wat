;; What a kernel looks up about a domain. Offsets of
;;   the header page (machine-memory.ts): frameCount 4, frameTable 8, domainTable 12; tables as word indices
;;   a domain's block (domain-block.ts):  kind 8, physmap 28, physmapBase 32, physmapLength 36, memoryReleased 1920

;; Byte address of the block of a domain, 0 if there is none.
(func $domainBlock (param $domid i32) (result i32)
  (if (result i32) (i32.ge_u (local.get $domid) (i32.const 0x7ff0))
    (then (i32.const 0))
    (else
      (i32.shl
        (i32.load (i32.shl (i32.add (i32.load (i32.const 12)) (local.get $domid)) (i32.const 2)))
        (i32.const 2)))))

;; The machine frame of the domain's own RAM behind a guest frame, -1 if there is none.
(func $machineFrame (param $block i32) (param $guestFrame i32) (result i32)
  (local $frame i32) (local $slot i32)
  (if (i32.load offset=1920 (local.get $block)) (then (return (i32.const -1))))
  (local.set $frame (local.get $guestFrame))
  (if (i32.eq (i32.load offset=8 (local.get $block)) (i32.const 1))
    (then
      (local.set $slot (i32.sub (local.get $guestFrame) (i32.load offset=32 (local.get $block))))
      (if (i32.ge_u (local.get $slot) (i32.load offset=36 (local.get $block))) (then (return (i32.const -1))))
      (local.set $frame
        (i32.atomic.load
          (i32.shl (i32.add (i32.load offset=28 (local.get $block)) (local.get $slot)) (i32.const 2))))
      ;; PhysmapKind.ram in the top four bits.
      (if (i32.ne (i32.shr_u (local.get $frame) (i32.const 28)) (i32.const 1)) (then (return (i32.const -1))))
      (local.set $frame (i32.and (local.get $frame) (i32.const 0xfffffff)))))
  (if (i32.ge_u (local.get $frame) (i32.load (i32.const 4))) (then (return (i32.const -1))))
  (if
    (i32.ne
      (i32.load
        (i32.add
          (i32.shl (i32.load (i32.const 8)) (i32.const 2))
          (i32.shl (local.get $frame) (i32.const 4))))
      (i32.add (i32.load (local.get $block)) (i32.const 1)))
    (then (return (i32.const -1))))
  (local.get $frame))
