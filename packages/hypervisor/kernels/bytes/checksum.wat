;; The folded ones-complement sum of RFC 1071 over any range, at any alignment.
;;
;; The sum is taken over little-endian 16-bit words, eight words a step, and turned into network order at the end: the
;; ones-complement sum does not depend on byte order (RFC 1071, 2(B)). An odd last byte is the high byte of its wire
;; word, so it is the low byte of the little-endian one.

;; Folds the carries of a 64-bit sum into 16 bits.
(func $fold (param $sum i64) (result i32)
  (local.set $sum (i64.add (i64.and (local.get $sum) (i64.const 0xffffffff)) (i64.shr_u (local.get $sum) (i64.const 32))))
  (local.set $sum (i64.add (i64.and (local.get $sum) (i64.const 0xffff)) (i64.shr_u (local.get $sum) (i64.const 16))))
  (local.set $sum (i64.add (i64.and (local.get $sum) (i64.const 0xffff)) (i64.shr_u (local.get $sum) (i64.const 16))))
  (local.set $sum (i64.add (i64.and (local.get $sum) (i64.const 0xffff)) (i64.shr_u (local.get $sum) (i64.const 16))))
  (i32.wrap_i64 (local.get $sum)))

(func $swap (param $word i32) (result i32)
  (i32.or
    (i32.shr_u (local.get $word) (i32.const 8))
    (i32.and (i32.shl (local.get $word) (i32.const 8)) (i32.const 0xff00))))

;; $initial: a sum in network order, of up to 32 bits. Answers 16 bits in network order, not complemented.
(func (export "checksum") (param $address i32) (param $length i32) (param $initial i32) (result i32)
  (local $sum i64) (local $lanes v128) (local $blockEnd i32) (local $end i32) (local $left i32)
  (local.set $sum (i64.extend_i32_u (call $swap (call $fold (i64.extend_i32_u (local.get $initial))))))
  (local.set $end (i32.add (local.get $address) (local.get $length)))
  ;; A lane gains at most 2 * 0xffff a step, so blocks of 64 KiB stay far from its 32 bits.
  (block $vectorDone
    (loop $blocks
      (local.set $left (i32.sub (local.get $end) (local.get $address)))
      (br_if $vectorDone (i32.lt_u (local.get $left) (i32.const 16)))
      (local.set $blockEnd
        (i32.add (local.get $address)
          (i32.and
            (select (i32.const 65536) (local.get $left) (i32.gt_u (local.get $left) (i32.const 65536)))
            (i32.const -16))))
      (local.set $lanes (v128.const i32x4 0 0 0 0))
      (loop $steps
        (local.set $lanes
          (i32x4.add (local.get $lanes)
            (i32x4.extadd_pairwise_i16x8_u (v128.load align=1 (local.get $address)))))
        (local.set $address (i32.add (local.get $address) (i32.const 16)))
        (br_if $steps (i32.lt_u (local.get $address) (local.get $blockEnd))))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (i32x4.extract_lane 0 (local.get $lanes)))))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (i32x4.extract_lane 1 (local.get $lanes)))))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (i32x4.extract_lane 2 (local.get $lanes)))))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (i32x4.extract_lane 3 (local.get $lanes)))))
      (br $blocks)))
  (block $wordsDone
    (loop $words
      (br_if $wordsDone (i32.lt_u (i32.sub (local.get $end) (local.get $address)) (i32.const 2)))
      (local.set $sum (i64.add (local.get $sum) (i64.load16_u align=1 (local.get $address))))
      (local.set $address (i32.add (local.get $address) (i32.const 2)))
      (br $words)))
  (if (i32.lt_u (local.get $address) (local.get $end))
    (then (local.set $sum (i64.add (local.get $sum) (i64.load8_u (local.get $address))))))
  (call $swap (call $fold (local.get $sum))))
