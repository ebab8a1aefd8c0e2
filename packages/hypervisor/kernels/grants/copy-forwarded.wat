;; Runs of elements as forwarding has them.

;; Carries out, from the first on, elements of GNTTABOP_copy as forwarding has them: either side granted, or both, a
;; source by a transitive entry too if this Xen has them; answers how many. Runs of ordinary one-sided elements take
;; copyPlain, which keeps a granter's table from one to the next.
(func (export "copyForwarded")
  (param $caller i32) (param $element i32) (param $count i32) (param $transitive i32) (result i32)
  (local $done i32) (local $callerBlock i32) (local $dest i32) (local $length i32) (local $direction i32)
  (local $source i32) (local $from i32) (local $destDomid i32) (local $to i32)
  (local $frame i32) (local $destFrame i32) (local $bytesBy i64)
  (local.set $callerBlock (call $domainBlock (local.get $caller)))
  (block $stop
    (br_if $stop (i32.eqz (local.get $callerBlock)))
    (loop $next
      (br_if $stop (i32.ge_s (local.get $done) (local.get $count)))
      (local.set $dest (i32.add (local.get $element) (i32.const 16)))
      (local.set $length (i32.load16_u offset=32 (local.get $element)))
      (br_if $stop (i32.eqz (local.get $length)))
      (local.set $direction (i32.load16_u offset=34 (local.get $element)))
      (br_if $stop (i32.gt_u (i32.sub (local.get $direction) (i32.const 1)) (i32.const 2)))
      (local.set $source (i32.load16_u offset=8 (local.get $element)))
      (local.set $from (i32.load16_u offset=10 (local.get $element)))
      (local.set $destDomid (i32.load16_u offset=8 (local.get $dest)))
      (local.set $to (i32.load16_u offset=10 (local.get $dest)))
      (br_if $stop (i32.gt_u (i32.add (local.get $from) (local.get $length)) (i32.const 4096)))
      (br_if $stop (i32.gt_u (i32.add (local.get $to) (local.get $length)) (i32.const 4096)))
      (if (i32.lt_s (i32.add (local.get $done) (i32.const 1)) (local.get $count))
        (then (br_if $stop (call $kept (local.get $element) (local.get $direction)))))
      (if (i32.eq (local.get $direction) (i32.const 1))
        (then
          (local.set $destFrame (call $ownFrame (local.get $callerBlock) (local.get $dest)))
          (br_if $stop (i32.lt_s (local.get $destFrame) (i32.const 0)))))
      (if (i32.eq (local.get $direction) (i32.const 2))
        (then (local.set $frame (call $ownFrame (local.get $callerBlock) (local.get $element))))
        (else
          (global.set $innerDomid (i32.const -1))
          (local.set $frame
            (call $acquire
              (local.get $source) (i32.load (local.get $element)) (local.get $caller) (i32.const 8)
              (local.get $from) (local.get $length) (local.get $transitive)))))
      (br_if $stop (i32.lt_s (local.get $frame) (i32.const 0)))
      (if (i32.ne (local.get $direction) (i32.const 1))
        (then
          (local.set $destFrame (i32.const -1))
          (if
            (i32.or
              (i32.eq (local.get $direction) (i32.const 2))
              (i32.eqz
                (call $isSource
                  (local.get $source) (i32.load (local.get $element))
                  (local.get $destDomid) (i32.load (local.get $dest)))))
            (then
              (local.set $destFrame
                (call $acquire
                  (local.get $destDomid) (i32.load (local.get $dest)) (local.get $caller) (i32.const 24)
                  (local.get $to) (local.get $length) (i32.const 0)))))
          (if (i32.lt_s (local.get $destFrame) (i32.const 0))
            (then
              (br_if $stop (i32.eq (local.get $direction) (i32.const 2)))
              (call $releaseSource
                (local.get $source) (i32.load (local.get $element)) (local.get $caller) (i32.const 0))
              (br $stop)))))
      (call $move
        (i32.add (i32.shl (local.get $destFrame) (i32.const 12)) (local.get $to))
        (i32.add (i32.shl (local.get $frame) (i32.const 12)) (local.get $from))
        (local.get $length))
      (if (i32.ne (local.get $direction) (i32.const 2))
        (then
          (call $releaseSource
            (local.get $source) (i32.load (local.get $element)) (local.get $caller) (local.get $length))))
      (if (i32.ne (local.get $direction) (i32.const 1))
        (then
          (call $release
            (local.get $destDomid) (i32.load (local.get $dest)) (i32.const 24)
            (local.get $caller) (local.get $length))))
      (i32.store16 offset=36 (local.get $element) (i32.const 0))
      (local.set $bytesBy (i64.add (local.get $bytesBy) (i64.extend_i32_u (local.get $length))))
      (local.set $element (i32.add (local.get $element) (i32.const 40)))
      (local.set $done (i32.add (local.get $done) (i32.const 1)))
      (br $next)))
  (call $countCopiedBy (local.get $callerBlock) (local.get $bytesBy))
  (local.get $done))
