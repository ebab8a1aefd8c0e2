;; Receiving: runs of plain packets, as in plain-packet.ts. A word of a message is fetched once, into a local, and what is
;; decided is decided on that; a packet that is not plain is left as it was found, for the link to look at.
;;
;; A link's block (link-block.ts), bytes from its start:
;;   0 payload of the ring, 4 its bytes, 8 the peer's id; answers: 16 index behind the run, 20 packets with a FINISH owed,
;;   24 bytes copied, 48 copy elements, 52 pages behind the first in use; from 56 on the fragments of the packet at hand, eight
;;   bytes each; from 256 on a page for each packet of a batch (address, guest frame); from 1024 on the records of a
;;   batch (batch-record.ts), 32 bytes each; from 4096 on a byte for each id below 4096, 1 while it is unfinished; from 8448 on the
;;   pages behind the first, as those at 256, packet after packet.

;; $consumed: index behind the message at hand, whose header is $header. $limit: index from where on the consumer must
;; publish. $index: the batch's next packet. $element: address of its first copy element; $copies: elements there are.
;; $credit: packets that may become unfinished. Answers how many packets were taken, at most $most.
(func (export "takePlain")
  (param $block i32) (param $consumed i32) (param $produced i32) (param $limit i32) (param $header i32)
  (param $index i32) (param $most i32) (param $element i32) (param $copies i32) (param $credit i32)
  (result i32)
  (local $taken i32) (local $owed i32) (local $bytes i32) (local $ring i32) (local $mask i32) (local $size i32)
  (local $at i32) (local $kind i32) (local $prefix i32) (local $fragments i32) (local $slot i32) (local $record i32)
  (local $range i32) (local $length i32) (local $id i32) (local $from i32) (local $behind i32) (local $target i32)
  ;; A block that was given back lies in a page of zeros.
  (if (i32.eqz (i32.load offset=4 (local.get $block))) (then (return (i32.const 0))))
  (local.set $ring (i32.load (local.get $block)))
  (local.set $mask (i32.sub (i32.load offset=4 (local.get $block)) (i32.const 1)))
  (local.set $slot (i32.add (i32.add (local.get $block) (i32.const 256)) (i32.shl (local.get $index) (i32.const 3))))
  (local.set $record (i32.add (i32.add (local.get $block) (i32.const 1024)) (i32.shl (local.get $index) (i32.const 5))))
  (local.set $element (i32.add (local.get $element) (i32.mul (local.get $copies) (i32.const 40))))
  (local.set $size (i32.shr_u (local.get $header) (i32.const 16)))
  (local.set $behind (local.get $consumed))
  ;; A message does not wrap.
  (local.set $at
    (i32.add (local.get $ring)
      (i32.and (i32.sub (local.get $consumed) (local.get $size)) (local.get $mask))))
  (block $stop
    (loop $next
      (br_if $stop (i32.eqz (i32.load (local.get $slot))))
      (local.set $kind (i32.load offset=8 (local.get $at)))
      (local.set $prefix (i32.and (i32.load offset=12 (local.get $at)) (i32.const 0xffff)))
      ;; A segmentation type, or a blank checksum.
      (br_if $stop (i32.and (local.get $kind) (i32.const 0x00ff0100)))
      (br_if $stop (i32.gt_u (local.get $prefix) (i32.const 256)))
      (local.set $fragments
        (i32.shr_s (i32.sub (i32.sub (local.get $size) (i32.const 20)) (local.get $prefix)) (i32.const 3)))
      (if (i32.eq (i32.and (local.get $kind) (i32.const 0xff)) (i32.const 4))
        (then
          (br_if $stop (local.get $fragments))
          (br_if $stop (i32.lt_u (local.get $prefix) (i32.const 14)))
          (call $copyShort
            (i32.load (local.get $slot)) (i32.add (local.get $at) (i32.const 20)) (local.get $prefix))
          (i32.store (local.get $record) (i32.const 0))
          (i32.store offset=4 (local.get $record) (local.get $prefix))
          (i32.store offset=8 (local.get $record) (i32.const 0)))
        (else
          (br_if $stop (i32.ne (i32.and (local.get $kind) (i32.const 0xff)) (i32.const 1)))
          (br_if $stop (i32.ne (local.get $fragments) (i32.const 1)))
          (local.set $range (i32.load offset=20 (local.get $at)))
          (local.set $from (i32.shr_u (local.get $range) (i32.const 16)))
          (local.set $length (i32.and (local.get $range) (i32.const 0xffff)))
          (br_if $stop (i32.eqz (local.get $length)))
          (br_if $stop (i32.gt_u (i32.add (local.get $from) (local.get $length)) (i32.const 4096)))
          (br_if $stop
            (i32.gt_u
              (i32.sub (i32.add (local.get $prefix) (local.get $length)) (i32.const 14))
              (i32.const 4082)))
          (local.set $id (i32.load offset=4 (local.get $at)))
          (br_if $stop (i32.ge_u (local.get $id) (i32.const 4096)))
          (br_if $stop (i32.ge_s (local.get $owed) (local.get $credit)))
          (br_if $stop (i32.load8_u offset=4096 (i32.add (local.get $block) (local.get $id))))
          (i32.store8 offset=4096 (i32.add (local.get $block) (local.get $id)) (i32.const 1))
          (local.set $target (i32.load (local.get $slot)))
          (if (local.get $prefix)
            (then
              (call $copyShort
                (local.get $target) (i32.add (local.get $at) (i32.const 28)) (local.get $prefix))))
          (call $copyElement
            (local.get $element)
            (i32.load offset=8 (local.get $block))
            (i64.load32_u offset=24 (local.get $at))
            (local.get $from)
            (i64.load32_u offset=4 (local.get $slot))
            (i32.add (i32.and (local.get $target) (i32.const 0xfff)) (local.get $prefix))
            (local.get $length))
          (local.set $element (i32.add (local.get $element) (i32.const 40)))
          (local.set $copies (i32.add (local.get $copies) (i32.const 1)))
          (local.set $owed (i32.add (local.get $owed) (i32.const 1)))
          (i32.store (local.get $record) (local.get $id))
          (i32.store offset=4 (local.get $record) (i32.add (local.get $prefix) (local.get $length)))
          (i32.store offset=8 (local.get $record) (i32.const 0x80))))
      (i32.store offset=12 (local.get $record)
        (i32.and (i32.shr_u (local.get $kind) (i32.const 8)) (i32.const 0xff)))
      (i32.store offset=16 (local.get $record) (local.get $copies))
      (local.set $bytes (i32.add (local.get $bytes) (local.get $prefix)))
      (local.set $behind (local.get $consumed))
      (local.set $taken (i32.add (local.get $taken) (i32.const 1)))
      (br_if $stop (i32.ge_s (local.get $taken) (local.get $most)))
      (br_if $stop (i32.ge_s (i32.sub (local.get $consumed) (local.get $limit)) (i32.const 0)))
      (local.set $slot (i32.add (local.get $slot) (i32.const 8)))
      (local.set $record (i32.add (local.get $record) (i32.const 32)))
      ;; The next message, if it is a whole packet.
      (local.set $range (i32.sub (local.get $produced) (local.get $consumed)))
      (br_if $stop (i32.eqz (local.get $range)))
      (local.set $from (i32.and (local.get $consumed) (local.get $mask)))
      (local.set $at (i32.add (local.get $ring) (local.get $from)))
      (local.set $header (i32.load (local.get $at)))
      (local.set $size (i32.shr_u (local.get $header) (i32.const 16)))
      (br_if $stop (i32.ne (i32.and (local.get $header) (i32.const 0xff)) (i32.const 2)))
      (br_if $stop (i32.lt_u (local.get $size) (i32.const 24)))
      (br_if $stop (i32.and (local.get $size) (i32.const 7)))
      (br_if $stop (i32.gt_u (local.get $size) (local.get $range)))
      (br_if $stop
        (i32.gt_u (i32.shl (local.get $size) (i32.const 2)) (i32.add (local.get $mask) (i32.const 1))))
      (br_if $stop
        (i32.gt_u (i32.add (local.get $from) (local.get $size)) (i32.add (local.get $mask) (i32.const 1))))
      (local.set $consumed (i32.add (local.get $consumed) (local.get $size)))
      (br $next)))
  (i32.store offset=16 (local.get $block) (local.get $behind))
  (i32.store offset=20 (local.get $block) (local.get $owed))
  (i32.store offset=24 (local.get $block) (local.get $bytes))
  (local.get $taken))

;; Whether some of $count copy elements has another status than 0.
(func (export "anyFailed") (param $element i32) (param $count i32) (result i32)
  (local $bad i32)
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $count)))
      (local.set $bad (i32.or (local.get $bad) (i32.load16_u offset=36 (local.get $element))))
      (local.set $element (i32.add (local.get $element) (i32.const 40)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $next)))
  (local.get $bad))

;; Writes the FINISHes of the first $count packets of the batch that are owed one to $target, at most $room of them, up to
;; an id that has no byte. Answers how many records were looked at; how many FINISHes were written is at 20.
(func (export "writeFinishes")
  (param $block i32) (param $count i32) (param $target i32) (param $room i32) (result i32)
  (local $record i32) (local $seen i32) (local $written i32) (local $id i32)
  (local.set $record (i32.add (local.get $block) (i32.const 1024)))
  (block $stop
    (loop $next
      (br_if $stop (i32.ge_s (local.get $seen) (local.get $count)))
      (if (i32.and (i32.load offset=8 (local.get $record)) (i32.const 0x80))
        (then
          (local.set $id (i32.load (local.get $record)))
          (br_if $stop (i32.ge_u (local.get $id) (i32.const 4096)))
          (br_if $stop (i32.ge_s (local.get $written) (local.get $room)))
          ;; The header of FINISH_PACKET, eight bytes; the id behind it.
          (i32.store (local.get $target) (i32.const 0x80003))
          (i32.store offset=4 (local.get $target) (local.get $id))
          (i32.store8 offset=4096 (i32.add (local.get $block) (local.get $id)) (i32.const 0))
          (local.set $target (i32.add (local.get $target) (i32.const 8)))
          (local.set $written (i32.add (local.get $written) (i32.const 1)))))
      (local.set $record (i32.add (local.get $record) (i32.const 32)))
      (local.set $seen (i32.add (local.get $seen) (i32.const 1)))
      (br $next)))
  (i32.store offset=20 (local.get $block) (local.get $written))
  (local.get $seen))
