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
        ;; A grant the next element names too stays pinned between the two.
        (if (i32.lt_s (i32.add (local.get $done) (i32.const 1)) (local.get $count))
          (then
            (br_if $stop
              (i32.and
                (i32.and
                  (i32.eq (i32.load offset=40 (local.get $granted)) (local.get $ref))
                  (i32.eq (i32.load16_u offset=48 (local.get $granted)) (local.get $domid)))
                (i32.ne
                  (i32.and (i32.load16_u offset=74 (local.get $element)) (local.get $direction))
                  (i32.const 0))))))
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
