;; The lock of an active entry (active-entry.ts), a record of 32 bytes: LOCK 0, PIN 4. Nothing here waits, so a kernel may
;; hold several entries, taken in any order.

;; Takes the lock of a record if it is free; 0 if not.
(func $lockRecord (param $record i32) (result i32)
  (if (call $isAlone) (then (return (i32.const 1))))
  (i32.eqz (i32.atomic.rmw.cmpxchg (local.get $record) (i32.const 0) (i32.const 1))))

;; The same, and its grant is idle; 0, nothing taken, if not.
(func $lockIdleRecord (param $record i32) (result i32)
  (if (i32.eqz (call $lockRecord (local.get $record))) (then (return (i32.const 0))))
  ;; Pinned: the record counts, not the shared entry.
  (if (i32.eqz (i32.load offset=4 (local.get $record))) (then (return (i32.const 1))))
  (call $unlockRecord (local.get $record))
  (i32.const 0))

(func $unlockRecord (param $record i32)
  (if (call $isAlone) (then (return)))
  (i32.atomic.store (local.get $record) (i32.const 0)))

;; Takes a reader's share of the table and the lock of an idle entry; 0, nothing taken, where that is not to be had
;; at once.
(func $lockIdle (param $table i32) (param $ref i32) (result i32)
  (if (i32.eqz (call $readLock (local.get $table))) (then (return (i32.const 0))))
  (if (call $isRef (local.get $table) (local.get $ref))
    (then
      (if (call $lockIdleRecord (call $activeEntry (local.get $table) (local.get $ref)))
        (then (return (i32.const 1))))))
  (call $readUnlock (local.get $table))
  (i32.const 0))

(func $unlock (param $table i32) (param $ref i32)
  (call $unlockRecord (call $activeEntry (local.get $table) (local.get $ref)))
  (call $readUnlock (local.get $table)))
