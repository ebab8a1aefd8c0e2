;; struct gnttab_copy: $length bytes from byte $from of a grant of the peer's to byte $to of a guest frame. Both 64-bit references
;; have their high word 0, and the status is one Xen never gives.
(func $copyElement
  (param $element i32) (param $peer i32) (param $ref i64) (param $from i32) (param $frame i64) (param $to i32)
  (param $length i32)
  (i64.store (local.get $element) (local.get $ref))
  (i32.store offset=8 (local.get $element)
    (i32.or (local.get $peer) (i32.shl (local.get $from) (i32.const 16))))
  (i64.store offset=16 (local.get $element) (local.get $frame))
  (i32.store offset=24 (local.get $element)
    (i32.or (i32.const 0x7ff0) (i32.shl (local.get $to) (i32.const 16))))
  ;; The source is a grant.
  (i32.store offset=32 (local.get $element) (i32.or (local.get $length) (i32.const 0x10000)))
  (i32.store offset=36 (local.get $element) (i32.const -1)))
