;; Runs of usual elements of GNTTABOP_map_grant_ref (mapping-arguments.ts), 32 bytes: host address 0, flags 8, ref 12, domid 16,
;; status 18, handle 20, device address 24. Usual: a host mapping alone, of an idle ordinary entry, at an address where nothing is.
;; A record: DOMID_SOURCE 8, RANGE 12, TRANSITIVE_REF 16, MACHINE_FRAME 20, GUEST_FRAME 24.

;; The machine frame an entry just marked in use names, -1 if it is not one to be mapped after all; fills the record but its pins.
(func $recordMapped
  (param $block i32) (param $entry i32) (param $record i32) (param $caller i32) (param $domid i32) (param $ref i32)
  (result i32)
  (local $guestFrame i32) (local $frame i32)
  (if (i32.eq (i32.load (call $tableOf (local.get $block))) (i32.const 1))
    (then (local.set $guestFrame (i32.load offset=4 (local.get $entry))))
    (else
      (if (i32.load offset=12 (local.get $entry)) (then (return (i32.const -1))))
      (local.set $guestFrame (i32.load offset=8 (local.get $entry)))))
  (local.set $frame (call $machineFrame (local.get $block) (local.get $guestFrame)))
  (if (i32.lt_s (local.get $frame) (i32.const 0)) (then (return (i32.const -1))))
  (if (i32.eqz (call $ownerHolds (local.get $block) (local.get $frame))) (then (return (i32.const -1))))
  (i32.store offset=8
    (local.get $record)
    (i32.or (local.get $caller) (i32.shl (local.get $domid) (i32.const 16))))
  ;; A whole page.
  (i32.store offset=12 (local.get $record) (i32.const 0x10000000))
  (i32.store offset=16 (local.get $record) (local.get $ref))
  (i32.store offset=20 (local.get $record) (local.get $frame))
  (i32.store offset=24 (local.get $record) (local.get $guestFrame))
  (local.get $frame))

;; Carries out one element; 0, nothing done, where it is not usual.
(func $mapOne (param $caller i32) (param $callerBlock i32) (param $element i32) (result i32)
  (local $flags i32) (local $slot i32) (local $domid i32) (local $ref i32) (local $bits i32) (local $handle i32)
  (local $block i32) (local $table i32) (local $own i32) (local $record i32) (local $entry i32) (local $frame i32)
  (local.set $flags (i32.load offset=8 (local.get $element)))
  ;; GNTMAP_host_map, and perhaps GNTMAP_readonly.
  (if (i32.ne (i32.and (local.get $flags) (i32.const -5)) (i32.const 2)) (then (return (i32.const 0))))
  (if (i32.load offset=4 (local.get $element)) (then (return (i32.const 0))))
  (local.set $slot (call $windowSlot (local.get $callerBlock) (i32.load (local.get $element))))
  (if (i32.eqz (local.get $slot)) (then (return (i32.const 0))))
  (local.set $bits (select (i32.const 8) (i32.const 24) (i32.and (local.get $flags) (i32.const 4))))
  (local.set $domid (i32.load16_u offset=16 (local.get $element)))
  (local.set $ref (i32.load offset=12 (local.get $element)))
  (local.set $block (call $domainBlock (local.get $domid)))
  (if (i32.eqz (local.get $block)) (then (return (i32.const 0))))
  (local.set $table (call $tableOf (local.get $block)))
  (local.set $own (call $tableOf (local.get $callerBlock)))
  (if (i32.eqz (call $lockIdle (local.get $table) (local.get $ref))) (then (return (i32.const 0))))
  (local.set $record (call $activeEntry (local.get $table) (local.get $ref)))
  (local.set $entry (call $sharedEntry (local.get $table) (local.get $ref)))
  (block $refused
    (br_if $refused
      (i32.eqz
        (call $setMapped
          (local.get $table) (local.get $ref) (local.get $entry) (local.get $caller) (local.get $bits))))
    (block $undo
      (local.set $frame
        (call $recordMapped
          (local.get $block) (local.get $entry) (local.get $record) (local.get $caller) (local.get $domid)
          (local.get $ref)))
      (br_if $undo (i32.lt_s (local.get $frame) (i32.const 0)))
      (br_if $undo (i32.eqz (call $lockTrack (local.get $own))))
      (local.set $handle (i32.const -1))
      (if
        (i32.eqz
          (i32.atomic.rmw.cmpxchg
            (local.get $slot)
            (i32.const 0)
            (call $windowItem (local.get $frame) (local.get $flags))))
        (then
          (local.set $handle (call $takeHandle (local.get $own)))
          (if (i32.lt_s (local.get $handle) (i32.const 0))
            (then (i32.atomic.store (local.get $slot) (i32.const 0))))))
      (call $unlockTrack (local.get $own))
      (br_if $undo (i32.lt_s (local.get $handle) (i32.const 0)))
      (call $addReference (local.get $frame))
      ;; PIN_HOST_READ or PIN_HOST_WRITE, the first.
      (i32.atomic.store offset=4
        (local.get $record)
        (select (i32.const 0x100) (i32.const 1) (i32.and (local.get $flags) (i32.const 4))))
      (call $unlock (local.get $table) (local.get $ref))
      (call $writeTrack
        (local.get $own) (local.get $handle) (local.get $domid) (local.get $ref) (local.get $flags))
      (i32.store16 offset=18 (local.get $element) (i32.const 0))
      (i32.store offset=20 (local.get $element) (local.get $handle))
      (i64.store offset=24
        (local.get $element)
        (i64.shl (i64.extend_i32_u (local.get $frame)) (i64.const 12)))
      (return (i32.const 1)))
    (call $unmark (local.get $table) (local.get $ref) (local.get $bits)))
  (call $unlock (local.get $table) (local.get $ref))
  (i32.const 0))

;; Carries out usual elements from the first on; answers how many.
(func (export "mapUsual") (param $caller i32) (param $element i32) (param $count i32) (result i32)
  (local $done i32) (local $callerBlock i32)
  (local.set $callerBlock (call $domainBlock (local.get $caller)))
  (block $stop
    (br_if $stop (i32.eqz (local.get $callerBlock)))
    (loop $next
      (br_if $stop (i32.ge_s (local.get $done) (local.get $count)))
      (br_if $stop (i32.eqz (call $mapOne (local.get $caller) (local.get $callerBlock) (local.get $element))))
      (local.set $element (i32.add (local.get $element) (i32.const 32)))
      (local.set $done (i32.add (local.get $done) (i32.const 1)))
      (br $next)))
  (local.get $done))
