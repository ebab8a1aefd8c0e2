;; Handles of a domain's mappings (maptrack.ts), in its grant table: MAPTRACK_LIST 28, MAPTRACK_LOCK 128, MAPTRACK_HEAD 132,
;; MAPTRACK_TAIL 136, MAPTRACK_LIMIT 140, MAPPINGS 144. A track has 16 bytes: reference or next free handle 0, flags 4, granter 8.

;; Takes the lock if it is free; 0 if not.
(func $lockTrack (param $table i32) (result i32)
  (i32.eqz (i32.atomic.rmw.cmpxchg offset=128 (local.get $table) (i32.const 0) (i32.const 1))))

(func $unlockTrack (param $table i32)
  (i32.atomic.store offset=128 (local.get $table) (i32.const 0)))

;; Address of a handle's track; the handle must be below the limit.
(func $track (param $table i32) (param $handle i32) (result i32)
  (i32.add
    (i32.shl
      (call $listed (i32.load offset=28 (local.get $table)) (i32.shr_u (local.get $handle) (i32.const 8)))
      (i32.const 2))
    (i32.shl (i32.and (local.get $handle) (i32.const 255)) (i32.const 4))))

;; The handle at the head of the free list, -1 where the list would be left empty. Under the lock.
(func $takeHandle (param $table i32) (result i32)
  (local $head i32) (local $next i32)
  (local.set $head (i32.load offset=132 (local.get $table)))
  (if (i32.lt_s (local.get $head) (i32.const 0)) (then (return (i32.const -1))))
  (local.set $next (i32.load (call $track (local.get $table) (local.get $head))))
  (if (i32.lt_s (local.get $next) (i32.const 0)) (then (return (i32.const -1))))
  (i32.store offset=132 (local.get $table) (local.get $next))
  (local.get $head))

;; Fills in the track of a handle just taken.
(func $writeTrack (param $table i32) (param $handle i32) (param $domid i32) (param $ref i32) (param $flags i32)
  (local $track i32)
  (local.set $track (call $track (local.get $table) (local.get $handle)))
  (i32.store (local.get $track) (local.get $ref))
  (i32.store offset=8 (local.get $track) (local.get $domid))
  (i32.atomic.store offset=4 (local.get $track) (local.get $flags))
  (drop (i32.atomic.rmw.add offset=144 (local.get $table) (i32.const 1))))

;; Ends a mapping's track and puts its handle at the tail of the free list. Under the lock.
(func $clearTrack (param $table i32) (param $handle i32) (param $track i32)
  (i32.atomic.store offset=4 (local.get $track) (i32.const 0))
  (drop (i32.atomic.rmw.sub offset=144 (local.get $table) (i32.const 1)))
  (i32.store (local.get $track) (i32.const -1))
  (i32.store (call $track (local.get $table) (i32.load offset=136 (local.get $table))) (local.get $handle))
  (i32.store offset=136 (local.get $table) (local.get $handle)))
