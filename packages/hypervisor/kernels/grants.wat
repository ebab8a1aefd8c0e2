;; Grant tables, the operations done for every packet, one call each instead of several atomics from JavaScript.
;;
;; The rules are those of grant-table: `hypervisor/copy.ts` and what it calls, `guest/entry-access.ts`. What a kernel does
;; is what they do; whatever is not usual it leaves to them, with nothing done. Offsets of
;;   the header page (machine-memory.ts):  frameCount 4, frameTable 8, domainTable 12; tables as word indices
;;   a domain's block (domain-block.ts):   kind 8, physmap 28, physmapBase 32, physmapLength 36, memoryReleased 1920,
;;                                         grantTable 2048
;;   its grant table (table-block.ts):     VERSION 0, ENTRIES 4, SHARED_LIST 16, STATUS_LIST 20, ACTIVE_LIST 24,
;;                                         TABLE_LOCK 64, COUNT_BYTES_COPIED_BY 216, COUNT_BYTES_COPIED_FOR 320
;;   a copy element (copy-argument.ts):    source 0 (domid and offset at 8), dest 16 (24), length and flags 32, status 36
(module
  (import "machine" "memory" (memory 1 65536 shared))

  ;; Byte address of the block of a domain, 0 if there is none.
  (func $domainBlock (param $domid i32) (result i32)
    (if (result i32) (i32.ge_u (local.get $domid) (i32.const 0x7ff0))
      (then (i32.const 0))
      (else
        (i32.shl
          (i32.load (i32.shl (i32.add (i32.load (i32.const 12)) (local.get $domid)) (i32.const 2)))
          (i32.const 2)))))

  ;; The machine frame of the domain's own RAM behind a guest frame, -1 if there is none.
  (func $machineFrame (param $block i32) (param $guestFrame i32) (result i32)
    (local $frame i32) (local $slot i32)
    (if (i32.load offset=1920 (local.get $block)) (then (return (i32.const -1))))
    (local.set $frame (local.get $guestFrame))
    (if (i32.eq (i32.load offset=8 (local.get $block)) (i32.const 1))
      (then
        (local.set $slot (i32.sub (local.get $guestFrame) (i32.load offset=32 (local.get $block))))
        (if (i32.ge_u (local.get $slot) (i32.load offset=36 (local.get $block))) (then (return (i32.const -1))))
        (local.set $frame
          (i32.atomic.load
            (i32.shl (i32.add (i32.load offset=28 (local.get $block)) (local.get $slot)) (i32.const 2))))
        ;; PhysmapKind.ram in the top four bits.
        (if (i32.ne (i32.shr_u (local.get $frame) (i32.const 28)) (i32.const 1)) (then (return (i32.const -1))))
        (local.set $frame (i32.and (local.get $frame) (i32.const 0xfffffff)))))
    (if (i32.ge_u (local.get $frame) (i32.load (i32.const 4))) (then (return (i32.const -1))))
    (if
      (i32.ne
        (i32.load
          (i32.add
            (i32.shl (i32.load (i32.const 8)) (i32.const 2))
            (i32.shl (local.get $frame) (i32.const 4))))
        (i32.add (i32.load (local.get $block)) (i32.const 1)))
      (then (return (i32.const -1))))
    (local.get $frame))

  ;; Takes a reader's share of a table's lock; 0, nothing taken, while a writer is at it or waits.
  (func $readLock (param $table i32) (result i32)
    (if (result i32)
      (i32.and (i32.atomic.rmw.add offset=64 (local.get $table) (i32.const 1)) (i32.const 0xc0000000))
      (then
        (drop (i32.atomic.rmw.sub offset=64 (local.get $table) (i32.const 1)))
        (i32.const 0))
      (else (i32.const 1))))

  (func $readUnlock (param $table i32)
    (drop (i32.atomic.rmw.sub offset=64 (local.get $table) (i32.const 1))))

  ;; Whether an entry of this header lets the caller copy, reading (bits 8) or writing (bits 24); not transitive ones.
  (func $allows (param $header i32) (param $caller i32) (param $bits i32) (result i32)
    (i32.and
      (i32.and
        (i32.eq (i32.and (local.get $header) (i32.const 3)) (i32.const 1))
        (i32.eq (i32.shr_u (local.get $header) (i32.const 16)) (local.get $caller)))
      (i32.or
        (i32.eq (local.get $bits) (i32.const 8))
        (i32.eqz (i32.and (local.get $header) (i32.const 4))))))

  ;; Carries out usual elements of GNTTABOP_copy from the first on; answers how many.
  (func (export "copyPlain") (param $caller i32) (param $element i32) (param $count i32) (result i32)
    (local $done i32) (local $callerBlock i32) (local $block i32) (local $table i32) (local $heldDomid i32)
    (local $lengthFlags i32) (local $length i32) (local $direction i32) (local $granted i32) (local $own i32)
    (local $ref i32) (local $word i32) (local $domid i32) (local $offset i32) (local $ownOffset i32)
    (local $active i32) (local $header i32) (local $entry i32) (local $status i32) (local $bits i32)
    (local $ownFrame i32) (local $frame i32) (local $range i32) (local $version i32)
    (local $bytesBy i64) (local $bytesFor i64)
    (local.set $heldDomid (i32.const -1))
    (local.set $callerBlock (call $domainBlock (local.get $caller)))
    (block $stop
      (br_if $stop (i32.eqz (local.get $callerBlock)))
      (loop $next
        (br_if $stop (i32.ge_s (local.get $done) (local.get $count)))
        (local.set $lengthFlags (i32.load offset=32 (local.get $element)))
        (local.set $length (i32.and (local.get $lengthFlags) (i32.const 0xffff)))
        (br_if $stop (i32.eqz (local.get $length)))
        (local.set $direction (i32.shr_u (local.get $lengthFlags) (i32.const 16)))
        ;; One side granted, the other not.
        (if (i32.eq (local.get $direction) (i32.const 1))
          (then
            (local.set $granted (local.get $element))
            (local.set $own (i32.add (local.get $element) (i32.const 16)))
            (local.set $bits (i32.const 8)))
          (else
            (br_if $stop (i32.ne (local.get $direction) (i32.const 2)))
            (local.set $granted (i32.add (local.get $element) (i32.const 16)))
            (local.set $own (local.get $element))
            (local.set $bits (i32.const 24))))
        (local.set $word (i32.load offset=8 (local.get $own)))
        (br_if $stop (i32.ne (i32.and (local.get $word) (i32.const 0xffff)) (i32.const 0x7ff0)))
        (br_if $stop (i32.load offset=4 (local.get $own)))
        (local.set $ownOffset (i32.shr_u (local.get $word) (i32.const 16)))
        (br_if $stop (i32.gt_u (i32.add (local.get $ownOffset) (local.get $length)) (i32.const 4096)))
        (local.set $word (i32.load offset=8 (local.get $granted)))
        (local.set $domid (i32.and (local.get $word) (i32.const 0xffff)))
        (local.set $offset (i32.shr_u (local.get $word) (i32.const 16)))
        (br_if $stop (i32.gt_u (i32.add (local.get $offset) (local.get $length)) (i32.const 4096)))
        (local.set $ref (i32.load (local.get $granted)))
        ;; A grant the next element names too stays pinned between the two, unless a domain changes.
        (if (i32.lt_s (i32.add (local.get $done) (i32.const 1)) (local.get $count))
          (then
            (br_if $stop
              (i32.and
                (i32.eq (i32.load offset=40 (local.get $granted)) (local.get $ref))
                (i32.and
                  (i32.eq (i32.load16_u offset=48 (local.get $granted)) (local.get $domid))
                  (i32.eq (i32.load16_u offset=48 (local.get $own)) (i32.const 0x7ff0)))))))
        (local.set $ownFrame (call $machineFrame (local.get $callerBlock) (i32.load (local.get $own))))
        (br_if $stop (i32.lt_s (local.get $ownFrame) (i32.const 0)))
        (if (i32.ne (local.get $domid) (local.get $heldDomid))
          (then
            (if (i32.ge_s (local.get $heldDomid) (i32.const 0))
              (then
                (call $letGo (local.get $table) (local.get $caller) (local.get $heldDomid) (local.get $bytesFor))
                (local.set $bytesFor (i64.const 0))
                (local.set $heldDomid (i32.const -1))))
            (local.set $block (call $domainBlock (local.get $domid)))
            (br_if $stop (i32.eqz (local.get $block)))
            (local.set $table (i32.add (local.get $block) (i32.const 2048)))
            (br_if $stop (i32.eqz (i32.load (local.get $table))))
            (br_if $stop (i32.eqz (call $readLock (local.get $table))))
            (local.set $heldDomid (local.get $domid))
            (local.set $version (i32.load (local.get $table)))))
        (br_if $stop (i32.ge_u (local.get $ref) (i32.load offset=4 (local.get $table))))
        ;; ACTIVE_LIST[ref / 512] + ref % 512, 32 bytes each.
        (local.set $active
          (i32.add
            (i32.shl
              (i32.load
                (i32.shl
                  (i32.add (i32.load offset=24 (local.get $table)) (i32.shr_u (local.get $ref) (i32.const 9)))
                  (i32.const 2)))
              (i32.const 2))
            (i32.shl (i32.and (local.get $ref) (i32.const 511)) (i32.const 5))))
        (br_if $stop (i32.atomic.rmw.cmpxchg (local.get $active) (i32.const 0) (i32.const 1)))
        (block $unlock
          ;; Pinned: the record counts, not the shared entry.
          (br_if $unlock (i32.load offset=4 (local.get $active)))
          (if (i32.eq (local.get $version) (i32.const 1))
            (then
              (local.set $entry
                (i32.add
                  (i32.shl
                    (i32.load
                      (i32.shl
                        (i32.add
                          (i32.load offset=16 (local.get $table))
                          (i32.shr_u (local.get $ref) (i32.const 9)))
                        (i32.const 2)))
                    (i32.const 2))
                  (i32.shl (i32.and (local.get $ref) (i32.const 511)) (i32.const 3))))
              (local.set $header (i32.atomic.load (local.get $entry)))
              (br_if $unlock
                (i32.eqz (call $allows (local.get $header) (local.get $caller) (local.get $bits))))
              (br_if $unlock
                (i32.ne
                  (i32.atomic.rmw.cmpxchg
                    (local.get $entry)
                    (local.get $header)
                    (i32.or (local.get $header) (local.get $bits)))
                  (local.get $header)))
              (local.set $frame
                (call $machineFrame (local.get $block) (i32.load offset=4 (local.get $entry)))))
            (else
              (local.set $entry
                (i32.add
                  (i32.shl
                    (i32.load
                      (i32.shl
                        (i32.add
                          (i32.load offset=16 (local.get $table))
                          (i32.shr_u (local.get $ref) (i32.const 8)))
                        (i32.const 2)))
                    (i32.const 2))
                  (i32.shl (i32.and (local.get $ref) (i32.const 255)) (i32.const 4))))
              (local.set $status
                (i32.shl
                  (i32.add
                    (i32.load
                      (i32.shl
                        (i32.add
                          (i32.load offset=20 (local.get $table))
                          (i32.shr_u (local.get $ref) (i32.const 11)))
                        (i32.const 2)))
                    (i32.and (local.get $ref) (i32.const 2047)))
                  (i32.const 1)))
              (local.set $header (i32.atomic.load (local.get $entry)))
              (br_if $unlock
                (i32.eqz (call $allows (local.get $header) (local.get $caller) (local.get $bits))))
              (drop (i32.atomic.rmw16.or_u (local.get $status) (local.get $bits)))
              (local.set $frame (i32.const -1))
              ;; The guest stores flags and loads the status; we stored the status and load the flags.
              (if
                (i32.and
                  (i32.eq (i32.atomic.load (local.get $entry)) (local.get $header))
                  (i32.eqz (i32.load offset=12 (local.get $entry))))
                (then
                  (local.set $range (i32.load offset=4 (local.get $entry)))
                  (if
                    (i32.or
                      (i32.eqz (i32.and (local.get $header) (i32.const 0x100)))
                      (i32.and
                        (i32.ge_u
                          (local.get $offset)
                          (i32.and (local.get $range) (i32.const 0x7fff)))
                        (i32.le_u
                          (i32.add (local.get $offset) (local.get $length))
                          (i32.add
                            (i32.and (local.get $range) (i32.const 0x7fff))
                            (i32.shr_u (local.get $range) (i32.const 16))))))
                    (then
                      (local.set $frame
                        (call $machineFrame (local.get $block) (i32.load offset=8 (local.get $entry))))))))))
          (if (i32.ge_s (local.get $frame) (i32.const 0))
            (then
              (local.set $offset
                (i32.add (i32.shl (local.get $frame) (i32.const 12)) (local.get $offset)))
              (local.set $ownOffset
                (i32.add (i32.shl (local.get $ownFrame) (i32.const 12)) (local.get $ownOffset)))
              (if (i32.eq (local.get $bits) (i32.const 8))
                (then (memory.copy (local.get $ownOffset) (local.get $offset) (local.get $length)))
                (else (memory.copy (local.get $offset) (local.get $ownOffset) (local.get $length))))))
          (if (i32.eq (local.get $version) (i32.const 1))
            (then
              (drop
                (i32.atomic.rmw.and
                  (local.get $entry)
                  (i32.xor (local.get $bits) (i32.const -1)))))
            (else
              (drop
                (i32.atomic.rmw16.and_u
                  (local.get $status)
                  (i32.xor (local.get $bits) (i32.const 0xffff))))))
          (br_if $unlock (i32.lt_s (local.get $frame) (i32.const 0)))
          (i32.atomic.store (local.get $active) (i32.const 0))
          (i32.store16 offset=36 (local.get $element) (i32.const 0))
          (local.set $bytesBy (i64.add (local.get $bytesBy) (i64.extend_i32_u (local.get $length))))
          (local.set $bytesFor (i64.add (local.get $bytesFor) (i64.extend_i32_u (local.get $length))))
          (local.set $element (i32.add (local.get $element) (i32.const 40)))
          (local.set $done (i32.add (local.get $done) (i32.const 1)))
          (br $next))
        (i32.atomic.store (local.get $active) (i32.const 0))))
    (if (i32.ge_s (local.get $heldDomid) (i32.const 0))
      (then (call $letGo (local.get $table) (local.get $caller) (local.get $heldDomid) (local.get $bytesFor))))
    (if (i64.ne (local.get $bytesBy) (i64.const 0))
      (then
        (i64.store offset=2264
          (local.get $callerBlock)
          (i64.add (i64.load offset=2264 (local.get $callerBlock)) (local.get $bytesBy)))))
    (local.get $done))

  ;; Ends the hold on a granter's table; its bytes are counted for it unless it is the caller's own.
  (func $letGo (param $table i32) (param $caller i32) (param $domid i32) (param $bytes i64)
    (if (i32.ne (local.get $domid) (local.get $caller))
      (then
        (if (i64.ne (local.get $bytes) (i64.const 0))
          (then (drop (i64.atomic.rmw.add offset=320 (local.get $table) (local.get $bytes)))))))
    (call $readUnlock (local.get $table)))

  ;; Item `index` of one of a table's lists.
  (func $listed (param $list i32) (param $index i32) (result i32)
    (i32.load (i32.shl (i32.add (local.get $list) (local.get $index)) (i32.const 2))))

  ;; The header of a shared entry, by the table's version.
  (func $sharedEntry (param $table i32) (param $ref i32) (result i32)
    (if (result i32) (i32.eq (i32.load (local.get $table)) (i32.const 1))
      (then
        (i32.add
          (i32.shl
            (call $listed
              (i32.load offset=16 (local.get $table))
              (i32.shr_u (local.get $ref) (i32.const 9)))
            (i32.const 2))
          (i32.shl (i32.and (local.get $ref) (i32.const 511)) (i32.const 3))))
      (else
        (i32.add
          (i32.shl
            (call $listed
              (i32.load offset=16 (local.get $table))
              (i32.shr_u (local.get $ref) (i32.const 8)))
            (i32.const 2))
          (i32.shl (i32.and (local.get $ref) (i32.const 255)) (i32.const 4))))))

  (func $statusWord (param $table i32) (param $ref i32) (result i32)
    (i32.shl
      (i32.add
        (call $listed
          (i32.load offset=20 (local.get $table))
          (i32.shr_u (local.get $ref) (i32.const 11)))
        (i32.and (local.get $ref) (i32.const 2047)))
      (i32.const 1)))

  (func $activeEntry (param $table i32) (param $ref i32) (result i32)
    (i32.add
      (i32.shl
        (call $listed
          (i32.load offset=24 (local.get $table))
          (i32.shr_u (local.get $ref) (i32.const 9)))
        (i32.const 2))
      (i32.shl (i32.and (local.get $ref) (i32.const 511)) (i32.const 5))))

  ;; Takes a reader's share of the table and the lock of an idle entry; 0, nothing taken, where that is not to be had
  ;; at once. Nothing here waits, so two entries may be held in any order.
  (func $lockIdle (param $table i32) (param $ref i32) (result i32)
    (local $active i32)
    (if (i32.eqz (call $readLock (local.get $table))) (then (return (i32.const 0))))
    (if
      (i32.and
        (i32.ne (i32.load (local.get $table)) (i32.const 0))
        (i32.lt_u (local.get $ref) (i32.load offset=4 (local.get $table))))
      (then
        (local.set $active (call $activeEntry (local.get $table) (local.get $ref)))
        (if (i32.eqz (i32.atomic.rmw.cmpxchg (local.get $active) (i32.const 0) (i32.const 1)))
          (then
            ;; Pinned: the record counts, not the shared entry.
            (if (i32.eqz (i32.load offset=4 (local.get $active))) (then (return (i32.const 1))))
            (i32.atomic.store (local.get $active) (i32.const 0))))))
    (call $readUnlock (local.get $table))
    (i32.const 0))

  (func $unlock (param $table i32) (param $ref i32)
    (i32.atomic.store (call $activeEntry (local.get $table) (local.get $ref)) (i32.const 0))
    (call $readUnlock (local.get $table)))

  (func $clearInUse (param $table i32) (param $ref i32) (param $bits i32)
    (if (i32.eq (i32.load (local.get $table)) (i32.const 1))
      (then
        (drop
          (i32.atomic.rmw.and
            (call $sharedEntry (local.get $table) (local.get $ref))
            (i32.xor (local.get $bits) (i32.const -1)))))
      (else
        (drop
          (i32.atomic.rmw16.and_u
            (call $statusWord (local.get $table) (local.get $ref))
            (i32.xor (local.get $bits) (i32.const 0xffff)))))))

  ;; Marks an idle, locked entry of this type in use; 0, nothing set, if it does not allow that.
  (func $setInUse
    (param $table i32) (param $ref i32) (param $entry i32) (param $type i32) (param $grantee i32) (param $bits i32)
    (result i32)
    (local $header i32)
    (local.set $header (i32.atomic.load (local.get $entry)))
    ;; As an ordinary one: only the type's own bits differ.
    (if
      (i32.eqz
        (call $allows
          (i32.xor (local.get $header) (i32.xor (local.get $type) (i32.const 1)))
          (local.get $grantee)
          (local.get $bits)))
      (then (return (i32.const 0))))
    (if (i32.eq (i32.load (local.get $table)) (i32.const 1))
      (then
        (return
          (i32.eq
            (i32.atomic.rmw.cmpxchg
              (local.get $entry)
              (local.get $header)
              (i32.or (local.get $header) (local.get $bits)))
            (local.get $header)))))
    (drop (i32.atomic.rmw16.or_u (call $statusWord (local.get $table) (local.get $ref)) (local.get $bits)))
    ;; The guest stores flags and loads the status; we stored the status and load the flags.
    (if (i32.eq (i32.atomic.load (local.get $entry)) (local.get $header)) (then (return (i32.const 1))))
    (call $clearInUse (local.get $table) (local.get $ref) (local.get $bits))
    (i32.const 0))

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
    (local.set $table (i32.add (local.get $block) (i32.const 2048)))
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
    (local.set $table (i32.add (local.get $block) (i32.const 2048)))
    (call $clearInUse (local.get $table) (local.get $ref) (local.get $bits))
    (i32.atomic.store (call $activeEntry (local.get $table) (local.get $ref)) (i32.const 0))
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

  ;; Whether a grant of this element stays pinned because the next one names it too; a change of domains drops both.
  (func $kept (param $element i32) (param $direction i32) (result i32)
    (local $again i32)
    (if (i32.ne (i32.load16_u offset=48 (local.get $element)) (i32.load16_u offset=8 (local.get $element)))
      (then (return (i32.const 0))))
    (if (i32.ne (i32.load16_u offset=64 (local.get $element)) (i32.load16_u offset=24 (local.get $element)))
      (then (return (i32.const 0))))
    ;; Bit 0 the source, bit 1 the destination, as in the flags.
    (local.set $again
      (i32.or
        (i32.eq (i32.load offset=40 (local.get $element)) (i32.load (local.get $element)))
        (i32.shl
          (i32.eq (i32.load offset=56 (local.get $element)) (i32.load offset=16 (local.get $element)))
          (i32.const 1))))
    (i32.and (local.get $again) (local.get $direction)))

  ;; The frame behind a side of an element that is not granted, -1 unless it is a page of the caller's.
  (func $ownFrame (param $callerBlock i32) (param $side i32) (result i32)
    (if (i32.ne (i32.load16_u offset=8 (local.get $side)) (i32.const 0x7ff0)) (then (return (i32.const -1))))
    (if (i32.load offset=4 (local.get $side)) (then (return (i32.const -1))))
    (call $machineFrame (local.get $callerBlock) (i32.load (local.get $side))))

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
            (local.set $destFrame
              (call $acquire
                (local.get $destDomid) (i32.load (local.get $dest)) (local.get $caller) (i32.const 24)
                (local.get $to) (local.get $length) (i32.const 0)))
            (if (i32.lt_s (local.get $destFrame) (i32.const 0))
              (then
                (br_if $stop (i32.eq (local.get $direction) (i32.const 2)))
                (call $releaseSource
                  (local.get $source) (i32.load (local.get $element)) (local.get $caller) (i32.const 0))
                (br $stop)))))
        (memory.copy
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
    (if (i64.ne (local.get $bytesBy) (i64.const 0))
      (then
        (i64.store offset=2264
          (local.get $callerBlock)
          (i64.add (i64.load offset=2264 (local.get $callerBlock)) (local.get $bytesBy)))))
    (local.get $done))

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

  (func (export "revokeV1") (param $entry i32) (result i32)
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
        (i32.const 0x18)))))
