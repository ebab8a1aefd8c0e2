;; Moves bytes that lie in no more than a page each. A few vectors cost less than calling the engine's copy.

(func $move (param $to i32) (param $from i32) (param $length i32)
  (local $last i32)
  ;; 16 to 256 bytes, not overlapping.
  (if
    (i32.and
      (i32.le_u (i32.sub (local.get $length) (i32.const 16)) (i32.const 240))
      (i32.and
        (i32.ge_u (i32.sub (local.get $to) (local.get $from)) (local.get $length))
        (i32.ge_u (i32.sub (local.get $from) (local.get $to)) (local.get $length))))
    (then
      (local.set $last (i32.sub (i32.add (local.get $from) (local.get $length)) (i32.const 16)))
      ;; The last vector first: it may share bytes with the one before.
      (v128.store align=1
        (i32.sub (i32.add (local.get $to) (local.get $length)) (i32.const 16))
        (v128.load align=1 (local.get $last)))
      (block $done
        (loop $next
          (br_if $done (i32.ge_u (local.get $from) (local.get $last)))
          (v128.store align=1 (local.get $to) (v128.load align=1 (local.get $from)))
          (local.set $to (i32.add (local.get $to) (i32.const 16)))
          (local.set $from (i32.add (local.get $from) (i32.const 16)))
          (br $next))))
    (else (memory.copy (local.get $to) (local.get $from) (local.get $length)))))
