;; The guest's side: publishing and revoking, as in entry-access.ts.

;; Entries as indices of 32-bit words, status words as indices of 16-bit words: see entry-access.ts.
(func (export "publishV1") (param $entry i32) (param $frame i32) (param $header i32)
  (local.set $entry (i32.shl (local.get $entry) (i32.const 2)))
  (i32.store offset=4 (local.get $entry) (local.get $frame))
  (i32.atomic.store (local.get $entry) (local.get $header)))

(func (export "publishV2") (param $entry i32) (param $range i32) (param $frame i32) (param $header i32)
  (local.set $entry (i32.shl (local.get $entry) (i32.const 2)))
  (i32.store offset=4 (local.get $entry) (local.get $range))
  (i64.store offset=8 (local.get $entry) (i64.extend_i32_u (local.get $frame)))
  (i32.atomic.store (local.get $entry) (local.get $header)))

(func $revokeV1 (export "revokeV1") (param $entry i32) (result i32)
  (local $header i32) (local $found i32)
  (local.set $entry (i32.shl (local.get $entry) (i32.const 2)))
  (local.set $header (i32.atomic.load (local.get $entry)))
  (loop $again
    (if (i32.and (local.get $header) (i32.const 0x18)) (then (return (i32.const 0))))
    (local.set $found
      (i32.atomic.rmw.cmpxchg
        (local.get $entry)
        (local.get $header)
        (i32.and (local.get $header) (i32.const 0xffff0000))))
    (if (i32.ne (local.get $found) (local.get $header))
      (then
        (local.set $header (local.get $found))
        (br $again))))
  (i32.const 1))

(func (export "revokeV2") (param $entry i32) (param $status i32) (result i32)
  (i32.atomic.store (i32.shl (local.get $entry) (i32.const 2)) (i32.const 0))
  (i32.eqz
    (i32.and
      (i32.atomic.load16_u (i32.shl (local.get $status) (i32.const 1)))
      (i32.const 0x18))))
