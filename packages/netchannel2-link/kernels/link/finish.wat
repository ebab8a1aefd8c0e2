;; FINISHes: the walk of message-intake.ts over those of packets that are followed by nobody.
;;
;; Of the block of the link that receives them, bytes from its start: 8192 + id for ids below 256: in how many grants the packet
;; lies, while it is unfinished and may be finished here, or 0; from 12288 on, see send.wat. Answers: at 16 the index behind the
;; last message taken, at 44 how many grants there are; from 9216 on a word for each packet: the id, from bit 16 on how many
;; grants it has beside the first, and the highest bit where it was not obtained.

;; Takes FINISHes from the one with $header, which ends at index $consumed; ends before any other message, behind the one
;; that passes $limit, and when $most are taken. Their grants become entries of a list of revocations, from $list on, which has
;; room for three of each. Answers how many.
(func (export "takeFinishes")
  (param $block i32) (param $consumed i32) (param $produced i32) (param $limit i32) (param $header i32) (param $most i32)
  (param $list i32)
  (result i32)
  (local $taken i32) (local $behind i32) (local $ring i32) (local $mask i32) (local $size i32) (local $at i32)
  (local $id i32) (local $left i32) (local $from i32) (local $answer i32) (local $parts i32) (local $model i32) (local $first i32)
  ;; A block that was given back lies in a page of zeros.
  (if (i32.eqz (i32.load offset=4 (local.get $block))) (then (return (i32.const 0))))
  (local.set $ring (i32.load (local.get $block)))
  (local.set $mask (i32.sub (i32.load offset=4 (local.get $block)) (i32.const 1)))
  (local.set $answer (i32.add (local.get $block) (i32.const 9216)))
  (local.set $first (local.get $list))
  (local.set $size (i32.shr_u (local.get $header) (i32.const 16)))
  (local.set $behind (local.get $consumed))
  (local.set $at
    (i32.add (local.get $ring)
      (i32.and (i32.sub (local.get $consumed) (local.get $size)) (local.get $mask))))
  (block $stop
    (loop $next
      ;; The one fetch of the id.
      (local.set $id (i32.load offset=4 (local.get $at)))
      (br_if $stop (i32.ge_u (local.get $id) (i32.const 256)))
      (local.set $parts (i32.load8_u offset=8192 (i32.add (local.get $block) (local.get $id))))
      (br_if $stop (i32.eqz (local.get $parts)))
      (i32.store8 offset=8192 (i32.add (local.get $block) (local.get $id)) (i32.const 0))
      (i32.store (local.get $answer)
        (i32.or (local.get $id) (i32.shl (i32.and (local.get $header) (i32.const 0x100)) (i32.const 23))))
      (local.set $model (i32.add (local.get $block) (i32.shl (local.get $id) (i32.const 5))))
      (i64.store (local.get $list) (i64.load offset=12304 (local.get $model)))
      (local.set $list (i32.add (local.get $list) (i32.const 8)))
      (if (i32.ne (local.get $parts) (i32.const 1))
        (then
          (i32.store8 offset=2 (local.get $answer) (i32.sub (local.get $parts) (i32.const 1)))
          (loop $further
            (local.set $model (i32.add (local.get $model) (i32.const 8192)))
            (i64.store (local.get $list) (i64.load offset=12304 (local.get $model)))
            (local.set $list (i32.add (local.get $list) (i32.const 8)))
            (local.set $parts (i32.sub (local.get $parts) (i32.const 1)))
            (br_if $further (i32.ne (local.get $parts) (i32.const 1))))))
      (local.set $answer (i32.add (local.get $answer) (i32.const 4)))
      (local.set $behind (local.get $consumed))
      (local.set $taken (i32.add (local.get $taken) (i32.const 1)))
      (br_if $stop (i32.ge_s (local.get $taken) (local.get $most)))
      (br_if $stop (i32.ge_s (i32.sub (local.get $consumed) (local.get $limit)) (i32.const 0)))
      ;; The next message, if it is a whole FINISH.
      (local.set $left (i32.sub (local.get $produced) (local.get $consumed)))
      (br_if $stop (i32.eqz (local.get $left)))
      (local.set $from (i32.and (local.get $consumed) (local.get $mask)))
      (local.set $at (i32.add (local.get $ring) (local.get $from)))
      (local.set $header (i32.load (local.get $at)))
      (local.set $size (i32.shr_u (local.get $header) (i32.const 16)))
      (br_if $stop (i32.ne (i32.and (local.get $header) (i32.const 0xff)) (i32.const 3)))
      ;; Eight bytes, as everybody writes them: they end where the ring does at most. Others are for the general way.
      (br_if $stop (i32.ne (local.get $size) (i32.const 8)))
      (br_if $stop (i32.lt_u (local.get $left) (i32.const 8)))
      (local.set $consumed (i32.add (local.get $consumed) (i32.const 8)))
      (br $next)))
  (i32.store offset=16 (local.get $block) (local.get $behind))
  (i32.store offset=44 (local.get $block)
    (i32.shr_u (i32.sub (local.get $list) (local.get $first)) (i32.const 3)))
  (local.get $taken))
