;; A kernel's share of a table's lock (table-lock.ts), TABLE_LOCK 64 of the table block: it counts itself in its thread's lane,
;; on a cache line that no other thread writes to, so that threads at one granter's table do not wait for each other's lines.

;; Where this thread's lane lies in a table block: KERNELS 0, COUNT_BYTES_COPIED_FOR 8 of it.
(global $lane (mut i32) (i32.const 512))

;; Threads are numbered from 0; of more than eight, some share a lane.
(func (export "useLane") (param $thread i32)
  (global.set $lane
    (i32.add (i32.const 512) (i32.shl (i32.and (local.get $thread) (i32.const 7)) (i32.const 6)))))

;; Takes a reader's share; 0, nothing taken, while a writer is at it or waits. The writer stores its mark and loads the counts;
;; we store the count and load the mark.
(func $readLock (param $table i32) (result i32)
  (if (call $isAlone) (then (return (i32.const 1))))
  (drop (i32.atomic.rmw.add (i32.add (local.get $table) (global.get $lane)) (i32.const 1)))
  (if (result i32) (i32.and (i32.atomic.load offset=64 (local.get $table)) (i32.const 0xc0000000))
    (then
      (call $readUnlock (local.get $table))
      (i32.const 0))
    (else (i32.const 1))))

(func $readUnlock (param $table i32)
  (if (call $isAlone) (then (return)))
  (drop (i32.atomic.rmw.sub (i32.add (local.get $table) (global.get $lane)) (i32.const 1))))
