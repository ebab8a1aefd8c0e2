;; The guest's side, for a run of entries at once, as in entry-access.ts: one barrier serves all of them.
;;
;; A list of publications has four words for each (entry, range, frame, header), one of revocations two (entry, status);
;; entries as indices of 32-bit words, status words as indices of 16-bit words.

(func (export "publishRunV1") (param $list i32) (param $count i32)
  (local $item i32) (local $end i32)
  (local.set $list (i32.shl (local.get $list) (i32.const 2)))
  (local.set $end (i32.add (local.get $list) (i32.shl (local.get $count) (i32.const 4))))
  (local.set $item (local.get $list))
  (block $framed
    (loop $frame
      (br_if $framed (i32.ge_u (local.get $item) (local.get $end)))
      (i32.store offset=4 (i32.shl (i32.load (local.get $item)) (i32.const 2)) (i32.load offset=8 (local.get $item)))
      (local.set $item (i32.add (local.get $item) (i32.const 16)))
      (br $frame)))
  (call $publishHeaders (local.get $list) (local.get $end)))

(func (export "publishRunV2") (param $list i32) (param $count i32)
  (local $item i32) (local $end i32) (local $entry i32)
  (local.set $list (i32.shl (local.get $list) (i32.const 2)))
  (local.set $end (i32.add (local.get $list) (i32.shl (local.get $count) (i32.const 4))))
  (local.set $item (local.get $list))
  (block $filled
    (loop $fill
      (br_if $filled (i32.ge_u (local.get $item) (local.get $end)))
      (local.set $entry (i32.shl (i32.load (local.get $item)) (i32.const 2)))
      (i32.store offset=4 (local.get $entry) (i32.load offset=4 (local.get $item)))
      (i64.store offset=8 (local.get $entry) (i64.load32_u offset=8 (local.get $item)))
      (local.set $item (i32.add (local.get $item) (i32.const 16)))
      (br $fill)))
  (call $publishHeaders (local.get $list) (local.get $end)))

;; All fields are visible before any header is.
(func $publishHeaders (param $item i32) (param $end i32)
  (atomic.fence)
  (block $live
    (loop $header
      (br_if $live (i32.ge_u (local.get $item) (local.get $end)))
      (i32.store (i32.shl (i32.load (local.get $item)) (i32.const 2)) (i32.load offset=12 (local.get $item)))
      (local.set $item (i32.add (local.get $item) (i32.const 16)))
      (br $header))))

(func (export "revokeRunV1") (param $list i32) (param $first i32) (param $count i32) (result i32)
  (block $done
    (loop $next
      (br_if $done (i32.ge_s (local.get $first) (local.get $count)))
      (br_if $done
        (i32.eqz
          (call $revokeV1 (i32.load (i32.shl (i32.add (local.get $list) (i32.shl (local.get $first) (i32.const 1))) (i32.const 2))))))
      (local.set $first (i32.add (local.get $first) (i32.const 1)))
      (br $next)))
  (local.get $first))

(func (export "revokeRunV2") (param $list i32) (param $first i32) (param $count i32) (result i32)
  (local $item i32) (local $start i32) (local $end i32)
  (local.set $list (i32.shl (local.get $list) (i32.const 2)))
  (local.set $start (i32.add (local.get $list) (i32.shl (local.get $first) (i32.const 3))))
  (local.set $end (i32.add (local.get $list) (i32.shl (local.get $count) (i32.const 3))))
  (local.set $item (local.get $start))
  (block $cleared
    (loop $clear
      (br_if $cleared (i32.ge_u (local.get $item) (local.get $end)))
      (i32.store (i32.shl (i32.load (local.get $item)) (i32.const 2)) (i32.const 0))
      (local.set $item (i32.add (local.get $item) (i32.const 8)))
      (br $clear)))
  ;; No header may still be seen as it was by the time a status is looked at.
  (atomic.fence)
  (local.set $item (local.get $start))
  (block $done
    (loop $look
      (br_if $done (i32.ge_u (local.get $item) (local.get $end)))
      (br_if $done
        (i32.and
          (i32.atomic.load16_u (i32.shl (i32.load offset=4 (local.get $item)) (i32.const 1)))
          (i32.const 0x18)))
      (local.set $item (i32.add (local.get $item) (i32.const 8)))
      (br $look)))
  (i32.shr_u (i32.sub (local.get $item) (local.get $list)) (i32.const 3)))
