;; The guest-visible mark of a use: bits 8 (reading) and 16 (writing) of a v1 entry's flags or a v2 status word.

;; Whether an entry of this header lets the caller copy, reading (bits 8) or writing (bits 24); not transitive ones.
(func $allows (param $header i32) (param $caller i32) (param $bits i32) (result i32)
  (i32.and
    (i32.and
      (i32.eq (i32.and (local.get $header) (i32.const 3)) (i32.const 1))
      (i32.eq (i32.shr_u (local.get $header) (i32.const 16)) (local.get $caller)))
    (i32.or
      (i32.eq (local.get $bits) (i32.const 8))
      (i32.eqz (i32.and (local.get $header) (i32.const 4))))))

;; Marks an idle, locked entry in use whose header is allowed as it is; 0, nothing set, if the guest changed it meanwhile.
(func $mark (param $table i32) (param $ref i32) (param $entry i32) (param $header i32) (param $bits i32) (result i32)
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
  (call $unmark (local.get $table) (local.get $ref) (local.get $bits))
  (i32.const 0))

(func $unmark (param $table i32) (param $ref i32) (param $bits i32)
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

;; Marks an idle, locked entry of this type in use for as long as the kernel is at work; 0, nothing set, if it does not allow
;; that. $clearInUse ends it.
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
  (if (call $isAlone) (then (return (i32.const 1))))
  (call $mark (local.get $table) (local.get $ref) (local.get $entry) (local.get $header) (local.get $bits)))

(func $clearInUse (param $table i32) (param $ref i32) (param $bits i32)
  (if (call $isAlone) (then (return)))
  (call $unmark (local.get $table) (local.get $ref) (local.get $bits)))

;; Marks an idle, locked entry in use by a mapping, which stays; not one of a sub page. $reduceInUse ends it.
(func $setMapped
  (param $table i32) (param $ref i32) (param $entry i32) (param $grantee i32) (param $bits i32) (result i32)
  (local $header i32)
  (local.set $header (i32.atomic.load (local.get $entry)))
  (if (i32.and (local.get $header) (i32.const 0x100)) (then (return (i32.const 0))))
  (if (i32.eqz (call $allows (local.get $header) (local.get $grantee) (local.get $bits)))
    (then (return (i32.const 0))))
  (call $mark (local.get $table) (local.get $ref) (local.get $entry) (local.get $header) (local.get $bits)))

;; After a pin was dropped: clears the bits that no pin needs.
(func $reduceInUse (param $table i32) (param $ref i32) (param $pin i32) (param $write i32)
  (local $bits i32)
  (local.set $bits (select (i32.const 0) (i32.const 8) (local.get $pin)))
  (if
    (i32.and (local.get $write) (i32.eqz (i32.and (local.get $pin) (i32.const 0x00ff00ff))))
    (then (local.set $bits (i32.or (local.get $bits) (i32.const 16)))))
  (if (local.get $bits) (then (call $unmark (local.get $table) (local.get $ref) (local.get $bits)))))
