;; Runs of TX requests that fill one slot each and have no extra info, as in plain-run.ts. A word of a slot is fetched once,
;; into a local, and judged there; a slot that is not plain is left as it was found.

;; The slot of an index: 256 slots of 12 bytes.
(func $slot (param $ring i32) (param $index i32) (result i32)
  (i32.add
    (local.get $ring)
    (i32.mul (i32.and (local.get $index) (i32.const 255)) (i32.const 12))))

;; Takes requests from $index on, at most $most: for each a copy element (struct gnttab_copy) from the peer's grant to the
;; page whose guest frame is in $frames, and the second and third word of its slot in $kept. $ring is the address of slot 0.
;; Answers how many.
(func (export "takePlain")
  (param $ring i32) (param $index i32) (param $most i32) (param $peer i32)
  (param $frames i32) (param $kept i32) (param $element i32) (result i32)
  (local $taken i32) (local $at i32) (local $second i32) (local $third i32) (local $size i32)
  (block $stop
    (loop $next
      (br_if $stop (i32.ge_s (local.get $taken) (local.get $most)))
      (local.set $at (call $slot (local.get $ring) (i32.add (local.get $index) (local.get $taken))))
      (local.set $second (i32.load offset=4 (local.get $at)))
      (local.set $third (i32.load offset=8 (local.get $at)))
      ;; Flags other than checksum blank and data validated.
      (br_if $stop (i32.and (local.get $second) (i32.const 0xfffc0000)))
      (local.set $size (i32.shr_u (local.get $third) (i32.const 16)))
      (br_if $stop (i32.lt_u (local.get $size) (i32.const 14)))
      (br_if $stop
        (i32.gt_u
          (i32.add (i32.and (local.get $second) (i32.const 0xffff)) (local.get $size))
          (i32.const 4096)))
      ;; Both 64-bit names have their high word 0; the status is one Xen never gives.
      (i64.store (local.get $element) (i64.load32_u (local.get $at)))
      (i32.store offset=8 (local.get $element)
        (i32.or (local.get $peer) (i32.shl (local.get $second) (i32.const 16))))
      (i64.store offset=16 (local.get $element) (i64.load32_u (local.get $frames)))
      (i32.store offset=24 (local.get $element) (i32.const 0x7ff0))
      ;; The source is a grant.
      (i32.store offset=32 (local.get $element) (i32.or (local.get $size) (i32.const 0x10000)))
      (i32.store offset=36 (local.get $element) (i32.const -1))
      (i32.store (local.get $kept) (local.get $second))
      (i32.store offset=4 (local.get $kept) (local.get $third))
      (local.set $element (i32.add (local.get $element) (i32.const 40)))
      (local.set $frames (i32.add (local.get $frames) (i32.const 4)))
      (local.set $kept (i32.add (local.get $kept) (i32.const 8)))
      (local.set $taken (i32.add (local.get $taken) (i32.const 1)))
      (br $next)))
  (local.get $taken))

;; Writes a response for each of $count packets from index $index on: OKAY, or ERROR where the copy failed, whose third
;; word in $kept becomes 0.
(func (export "answerPlain")
  (param $ring i32) (param $index i32) (param $count i32) (param $kept i32) (param $element i32)
  (local $end i32) (local $response i32)
  (local.set $end (i32.add (local.get $index) (local.get $count)))
  (block $done
    (loop $next
      (br_if $done (i32.eq (local.get $index) (local.get $end)))
      (local.set $response (i32.load16_u offset=4 (local.get $kept)))
      (if (i32.load16_u offset=36 (local.get $element))
        (then
          (local.set $response (i32.or (local.get $response) (i32.const 0xffff0000)))
          (i32.store offset=4 (local.get $kept) (i32.const 0))))
      (i32.store (call $slot (local.get $ring) (local.get $index)) (local.get $response))
      (local.set $kept (i32.add (local.get $kept) (i32.const 8)))
      (local.set $element (i32.add (local.get $element) (i32.const 40)))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br $next))))
