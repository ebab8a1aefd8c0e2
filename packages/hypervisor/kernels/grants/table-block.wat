;; A domain's grant table, at 2048 of its block (table-block.ts): where it keeps entries, status words and records.
;; VERSION 0, ENTRIES 4, SHARED_LIST 16, STATUS_LIST 20, ACTIVE_LIST 24.

;; The table of the domain of this block.
(func $tableOf (param $block i32) (result i32)
  (i32.add (local.get $block) (i32.const 2048)))

;; Whether a reference is one of this table's; none is in a table that is torn down. Under the table's lock.
(func $isRef (param $table i32) (param $ref i32) (result i32)
  (i32.and
    (i32.ne (i32.load (local.get $table)) (i32.const 0))
    (i32.lt_u (local.get $ref) (i32.load offset=4 (local.get $table)))))

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
    (i32.or
      (i32.shl (i32.and (local.get $ref) (i32.const 1)) (i32.const 13))
      (i32.shl (i32.and (local.get $ref) (i32.const 0x1fe)) (i32.const 4)))))
