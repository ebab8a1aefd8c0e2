;; A kernel's share of a table's lock (table-lock.ts), TABLE_LOCK 64 of the table block: it counts itself at 256 or, for a caller
;; of an odd id, at 448, on a cache line of its own. Each kernel that takes tables names its caller first.

(global $kernelCount (mut i32) (i32.const 256))

(func $countAs (param $caller i32)
  (global.set $kernelCount
    (select (i32.const 448) (i32.const 256) (i32.and (local.get $caller) (i32.const 1)))))

;; Takes a reader's share; 0, nothing taken, while a writer is at it or waits. The writer stores its mark and loads the counts;
;; we store the count and load the mark.
(func $readLock (param $table i32) (result i32)
  (if (call $isAlone) (then (return (i32.const 1))))
  (drop (i32.atomic.rmw.add (i32.add (local.get $table) (global.get $kernelCount)) (i32.const 1)))
  (if (result i32) (i32.and (i32.atomic.load offset=64 (local.get $table)) (i32.const 0xc0000000))
    (then
      (call $readUnlock (local.get $table))
      (i32.const 0))
    (else (i32.const 1))))

(func $readUnlock (param $table i32)
  (if (call $isAlone) (then (return)))
  (drop (i32.atomic.rmw.sub (i32.add (local.get $table) (global.get $kernelCount)) (i32.const 1))))
