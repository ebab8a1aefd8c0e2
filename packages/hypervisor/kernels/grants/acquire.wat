;; One grant taken for one copy, and given back.

;; The machine frame an ordinary entry names, -1 if there is none or the bytes are not all granted.
(func $grantedFrame (param $block i32) (param $entry i32) (param $offset i32) (param $length i32) (result i32)
  (local $range i32) (local $start i32)
  (if (i32.eq (i32.load offset=2048 (local.get $block)) (i32.const 1))
    (then (return (call $machineFrame (local.get $block) (i32.load offset=4 (local.get $entry))))))
  (if (i32.load offset=12 (local.get $entry)) (then (return (i32.const -1))))
  (if (i32.and (i32.load (local.get $entry)) (i32.const 0x100))
    (then
      (local.set $range (i32.load offset=4 (local.get $entry)))
      (local.set $start (i32.and (local.get $range) (i32.const 0x7fff)))
      (if
        (i32.or
          (i32.lt_u (local.get $offset) (local.get $start))
          (i32.gt_u
            (i32.add (local.get $offset) (local.get $length))
            (i32.add (local.get $start) (i32.shr_u (local.get $range) (i32.const 16)))))
        (then (return (i32.const -1))))))
  (call $machineFrame (local.get $block) (i32.load offset=8 (local.get $entry))))

;; The inner grant of the source $acquire took last; domid -1 if it was an ordinary one.
(global $innerDomid (mut i32) (i32.const -1))
(global $innerRef (mut i32) (i32.const 0))

;; Takes an idle entry for one copy: answers the machine frame, or -1 with nothing taken. $release gives it back.
(func $acquire
  (param $domid i32) (param $ref i32) (param $grantee i32) (param $bits i32) (param $offset i32) (param $length i32)
  (param $transitive i32) (result i32)
  (local $block i32) (local $table i32) (local $entry i32) (local $frame i32) (local $inner i32) (local $innerRef i32)
  (local.set $block (call $domainBlock (local.get $domid)))
  (if (i32.eqz (local.get $block)) (then (return (i32.const -1))))
  (local.set $table (call $tableOf (local.get $block)))
  (if (i32.eqz (call $lockIdle (local.get $table) (local.get $ref))) (then (return (i32.const -1))))
  (local.set $entry (call $sharedEntry (local.get $table) (local.get $ref)))
  (local.set $frame (i32.const -1))
  (if
    (i32.and
      (local.get $transitive)
      (i32.and
        (i32.eq (i32.load (local.get $table)) (i32.const 2))
        (i32.eq (i32.and (i32.load (local.get $entry)) (i32.const 3)) (i32.const 3))))
    (then
      (if
        (call $setInUse
          (local.get $table) (local.get $ref) (local.get $entry) (i32.const 3) (local.get $grantee) (local.get $bits))
        (then
          (local.set $inner (i32.load16_u offset=4 (local.get $entry)))
          (local.set $innerRef (i32.load offset=8 (local.get $entry)))
          (if (i32.ne (local.get $inner) (local.get $domid))
            (then
              ;; The table stays locked meanwhile, so that nothing has to be looked at twice.
              (local.set $frame
                (call $acquire
                  (local.get $inner) (local.get $innerRef) (local.get $domid) (local.get $bits)
                  (local.get $offset) (local.get $length) (i32.const 0)))))
          (if (i32.ge_s (local.get $frame) (i32.const 0))
            (then
              (global.set $innerDomid (local.get $inner))
              (global.set $innerRef (local.get $innerRef))
              (return (local.get $frame))))
          (call $clearInUse (local.get $table) (local.get $ref) (local.get $bits)))))
    (else
      (if
        (call $setInUse
          (local.get $table) (local.get $ref) (local.get $entry) (i32.const 1) (local.get $grantee) (local.get $bits))
        (then
          (local.set $frame
            (call $grantedFrame
              (local.get $block) (local.get $entry) (local.get $offset) (local.get $length)))
          (if (i32.ge_s (local.get $frame) (i32.const 0)) (then (return (local.get $frame))))
          (call $clearInUse (local.get $table) (local.get $ref) (local.get $bits))))))
  (call $unlock (local.get $table) (local.get $ref))
  (i32.const -1))

;; Gives an entry back, with `bytes` copied for its domain unless that is the caller.
(func $release (param $domid i32) (param $ref i32) (param $bits i32) (param $caller i32) (param $bytes i32)
  (local $block i32) (local $table i32)
  (local.set $block (call $domainBlock (local.get $domid)))
  (local.set $table (call $tableOf (local.get $block)))
  (call $clearInUse (local.get $table) (local.get $ref) (local.get $bits))
  (call $unlockRecord (call $activeEntry (local.get $table) (local.get $ref)))
  (call $letGo
    (local.get $table) (local.get $caller) (local.get $domid) (i64.extend_i32_u (local.get $bytes))))

(func $releaseSource (param $domid i32) (param $ref i32) (param $caller i32) (param $bytes i32)
  (local $inner i32)
  (local.set $inner (global.get $innerDomid))
  (if (i32.lt_s (local.get $inner) (i32.const 0))
    (then
      (call $release (local.get $domid) (local.get $ref) (i32.const 8) (local.get $caller) (local.get $bytes)))
    (else
      (call $release (local.get $domid) (local.get $ref) (i32.const 8) (local.get $caller) (i32.const 0))
      (call $release
        (local.get $inner) (global.get $innerRef) (i32.const 8) (local.get $caller) (local.get $bytes)))))

;; Whether a grant is the source $acquire took last, or the one behind it: in use then, though no lock of one thread says so.
(func $isSource (param $source i32) (param $sourceRef i32) (param $domid i32) (param $ref i32) (result i32)
  (i32.or
    (i32.and
      (i32.eq (local.get $source) (local.get $domid))
      (i32.eq (local.get $sourceRef) (local.get $ref)))
    (i32.and
      (i32.eq (global.get $innerDomid) (local.get $domid))
      (i32.eq (global.get $innerRef) (local.get $ref)))))
