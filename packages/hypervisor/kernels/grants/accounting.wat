;; Bytes copied. COUNT_BYTES_COPIED_BY 216 of the table block, COUNT_BYTES_COPIED_FOR 8 of this thread's lane in it.

;; Ends the hold on a granter's table; its bytes are counted for it unless it is the caller's own.
(func $letGo (param $table i32) (param $caller i32) (param $domid i32) (param $bytes i64)
  (if (i32.ne (local.get $domid) (local.get $caller))
    (then
      (if (i64.ne (local.get $bytes) (i64.const 0))
        (then
          (drop
            (i64.atomic.rmw.add offset=8
              (i32.add (local.get $table) (global.get $lane))
              (local.get $bytes)))))))
  (call $readUnlock (local.get $table)))

(func $countCopiedBy (param $callerBlock i32) (param $bytes i64)
  (if (i64.ne (local.get $bytes) (i64.const 0))
    (then
      (i64.store offset=2264
        (local.get $callerBlock)
        (i64.add (i64.load offset=2264 (local.get $callerBlock)) (local.get $bytes))))))
