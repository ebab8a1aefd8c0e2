;; Runs of usual elements of GNTTABOP_unmap_grant_ref (mapping-arguments.ts), 24 bytes: host address 0, device address 8,
;; handle 16, status 20. Usual: the host part, which is all there is, of a mapping that lies where the element says.

;; Ends one mapping; 0, nothing done, where the element is not usual. In Xen's order: the mapping, the pins and bits, the page.
(func $unmapOne (param $callerBlock i32) (param $element i32) (result i32)
  (local $own i32) (local $handle i32) (local $track i32) (local $flags i32) (local $domid i32) (local $ref i32)
  (local $block i32) (local $table i32) (local $record i32) (local $slot i32) (local $frame i32) (local $pin i32)
  (local $write i32) (local $done i32)
  (if (i64.ne (i64.load offset=8 (local.get $element)) (i64.const 0)) (then (return (i32.const 0))))
  (if (i32.load offset=4 (local.get $element)) (then (return (i32.const 0))))
  (local.set $own (call $tableOf (local.get $callerBlock)))
  (local.set $handle (i32.load offset=16 (local.get $element)))
  (if (i32.ge_u (local.get $handle) (i32.atomic.load offset=140 (local.get $own))) (then (return (i32.const 0))))
  (local.set $track (call $track (local.get $own) (local.get $handle)))
  (local.set $flags (i32.atomic.load offset=4 (local.get $track)))
  (if (i32.ne (i32.and (local.get $flags) (i32.const -5)) (i32.const 2)) (then (return (i32.const 0))))
  (local.set $domid (i32.load offset=8 (local.get $track)))
  (local.set $ref (i32.load (local.get $track)))
  (local.set $slot (call $windowSlot (local.get $callerBlock) (i32.load (local.get $element))))
  (if (i32.eqz (local.get $slot)) (then (return (i32.const 0))))
  (local.set $block (call $domainBlock (local.get $domid)))
  (if (i32.eqz (local.get $block)) (then (return (i32.const 0))))
  (local.set $table (call $tableOf (local.get $block)))
  (if (i32.eqz (call $readLock (local.get $table))) (then (return (i32.const 0))))
  (block $letGo
    (br_if $letGo (i32.eqz (call $isRef (local.get $table) (local.get $ref))))
    (local.set $record (call $activeEntry (local.get $table) (local.get $ref)))
    (br_if $letGo (i32.eqz (call $lockRecord (local.get $record))))
    (block $unlock
      ;; Another thread's unmap of the same handle may have been here first.
      (br_if $unlock (i32.ne (i32.atomic.load offset=4 (local.get $track)) (local.get $flags)))
      (br_if $unlock (i32.ne (i32.load offset=8 (local.get $track)) (local.get $domid)))
      (br_if $unlock (i32.ne (i32.load (local.get $track)) (local.get $ref)))
      (local.set $frame (i32.load offset=20 (local.get $record)))
      (br_if $unlock (i32.eqz (call $ownerHolds (local.get $block) (local.get $frame))))
      (br_if $unlock (i32.eqz (call $lockTrack (local.get $own))))
      (local.set $done
        (i32.eq
          (i32.atomic.rmw.cmpxchg
            (local.get $slot)
            (call $windowItem (local.get $frame) (local.get $flags))
            (i32.const 0))
          (call $windowItem (local.get $frame) (local.get $flags))))
      (if (local.get $done)
        (then (call $clearTrack (local.get $own) (local.get $handle) (local.get $track))))
      (call $unlockTrack (local.get $own))
      (br_if $unlock (i32.eqz (local.get $done)))
      (local.set $write (i32.eqz (i32.and (local.get $flags) (i32.const 4))))
      (local.set $pin
        (i32.sub
          (i32.load offset=4 (local.get $record))
          (select (i32.const 1) (i32.const 0x100) (local.get $write))))
      (i32.atomic.store offset=4 (local.get $record) (local.get $pin))
      (call $reduceInUse (local.get $table) (local.get $ref) (local.get $pin) (local.get $write))
      (call $dropReference (local.get $frame))
      (i32.store16 offset=20 (local.get $element) (i32.const 0)))
    (call $unlockRecord (local.get $record)))
  (call $readUnlock (local.get $table))
  (local.get $done))

;; Carries out usual elements from the first on; answers how many.
(func (export "unmapUsual") (param $caller i32) (param $element i32) (param $count i32) (result i32)
  (local $done i32) (local $callerBlock i32)
  (local.set $callerBlock (call $domainBlock (local.get $caller)))
  (block $stop
    (br_if $stop (i32.eqz (local.get $callerBlock)))
    (loop $next
      (br_if $stop (i32.ge_s (local.get $done) (local.get $count)))
      (br_if $stop (i32.eqz (call $unmapOne (local.get $callerBlock) (local.get $element))))
      (local.set $element (i32.add (local.get $element) (i32.const 24)))
      (local.set $done (i32.add (local.get $done) (i32.const 1)))
      (br $next)))
  (local.get $done))
