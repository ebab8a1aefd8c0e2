;; References on a page, in the frame table (frame-table.ts), 16 bytes a frame: OWNER 0, REFERENCES 4, FLAGS 12.
;;
;; Under the lock of the table of its owner, whose memory has not been released, an allocated page has its owner's reference,
;; for whoever takes that away waits for the lock first (host.ts). So one more can be taken, and another than the owner's be
;; dropped, without a look at the count.

(func $frameEntry (param $frame i32) (result i32)
  (i32.add (i32.shl (i32.load (i32.const 8)) (i32.const 2)) (i32.shl (local.get $frame) (i32.const 4))))

;; Whether the owner's own reference is there for as long as its table is held.
(func $ownerHolds (param $block i32) (param $frame i32) (result i32)
  (local $entry i32)
  (if (i32.atomic.load offset=1920 (local.get $block)) (then (return (i32.const 0))))
  (local.set $entry (call $frameEntry (local.get $frame)))
  (i32.and
    (i32.eq
      (i32.atomic.load (local.get $entry))
      (i32.add (i32.load (local.get $block)) (i32.const 1)))
    (i32.and (i32.atomic.load offset=12 (local.get $entry)) (i32.const 1))))

(func $addReference (param $frame i32)
  (drop (i32.atomic.rmw.add offset=4 (call $frameEntry (local.get $frame)) (i32.const 1))))

(func $dropReference (param $frame i32)
  (drop (i32.atomic.rmw.sub offset=4 (call $frameEntry (local.get $frame)) (i32.const 1))))
