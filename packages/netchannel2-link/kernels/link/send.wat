;; Sending: the two PACKETs most frames become, as in packet-sender.ts.

;; A packet without fragments. $kind: the third word.
(func (export "writeInline")
  (param $at i32) (param $size i32) (param $id i32) (param $kind i32) (param $length i32) (param $source i32)
  (i64.store align=4
    (i32.add (local.get $at) (i32.sub (local.get $size) (i32.const 8))) (i64.const 0))
  (i32.store (local.get $at) (i32.or (i32.const 2) (i32.shl (local.get $size) (i32.const 16))))
  (i32.store offset=4 (local.get $at) (local.get $id))
  (i32.store offset=8 (local.get $at) (local.get $kind))
  (i32.store offset=12 (local.get $at) (local.get $length))
  (i32.store offset=16 (local.get $at) (i32.const 0))
  (call $copyShort (i32.add (local.get $at) (i32.const 20)) (local.get $source) (local.get $length)))

;; A packet of a prefix and one fragment.
(func (export "writePiece")
  (param $at i32) (param $size i32) (param $id i32) (param $kind i32) (param $prefix i32) (param $source i32)
  (param $range i32) (param $ref i32)
  (i64.store align=4
    (i32.add (local.get $at) (i32.sub (local.get $size) (i32.const 8))) (i64.const 0))
  (i32.store (local.get $at) (i32.or (i32.const 2) (i32.shl (local.get $size) (i32.const 16))))
  (i32.store offset=4 (local.get $at) (local.get $id))
  (i32.store offset=8 (local.get $at) (local.get $kind))
  (i32.store offset=12 (local.get $at) (local.get $prefix))
  (i32.store offset=16 (local.get $at) (i32.const 0))
  (i32.store offset=20 (local.get $at) (local.get $range))
  (i32.store offset=24 (local.get $at) (local.get $ref))
  (call $copyShort (i32.add (local.get $at) (i32.const 28)) (local.get $source) (local.get $prefix)))
