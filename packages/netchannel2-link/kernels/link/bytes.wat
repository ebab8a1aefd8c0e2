;; Short runs of bytes, moved sixteen at a time without a call.

;; Any length up to a page; the ranges do not overlap. What is not a multiple of sixteen ends with a step back.
(func $copyShort (param $target i32) (param $source i32) (param $length i32)
  (local $end i32)
  (if (i32.lt_u (local.get $length) (i32.const 16))
    (then
      (memory.copy (local.get $target) (local.get $source) (local.get $length))
      (return)))
  (local.set $end (i32.add (local.get $source) (i32.sub (local.get $length) (i32.const 16))))
  (block $last
    (loop $steps
      (br_if $last (i32.ge_u (local.get $source) (local.get $end)))
      (v128.store align=1 (local.get $target) (v128.load align=1 (local.get $source)))
      (local.set $target (i32.add (local.get $target) (i32.const 16)))
      (local.set $source (i32.add (local.get $source) (i32.const 16)))
      (br $steps)))
  (v128.store align=1
    (i32.add (local.get $target) (i32.sub (local.get $end) (local.get $source)))
    (v128.load align=1 (local.get $end))))
