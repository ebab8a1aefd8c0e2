;; Receiving: runs of packets in several fragments. The block is told in receive.wat.

;; As takePlain, where packets have up to $parts fragments and any length. What does not fit the first page goes on in those behind:
;; $used are in use, $pages are there. No packet is taken while there are more than $bound copy elements.
(func (export "takeSeveral")
  (param $block i32) (param $consumed i32) (param $produced i32) (param $limit i32) (param $header i32)
  (param $index i32) (param $most i32) (param $element i32) (param $copies i32) (param $credit i32)
  (param $parts i32) (param $bound i32) (param $used i32) (param $pages i32)
  (result i32)
  (local $taken i32) (local $owed i32) (local $bytes i32) (local $ring i32) (local $mask i32) (local $size i32)
  (local $at i32) (local $kind i32) (local $prefix i32) (local $fragments i32) (local $slot i32) (local $record i32)
  (local $range i32) (local $length i32) (local $id i32) (local $from i32) (local $behind i32)
  (local $part i32) (local $last i32) (local $page i32) (local $next i32) (local $filled i32) (local $pair i64) (local $left i32)
  (local $piece i32)
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
      (br_if $stop (i32.gt_s (local.get $copies) (local.get $bound)))
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
          (br_if $stop (i32.ge_u (i32.sub (local.get $fragments) (i32.const 1)) (local.get $parts)))
          (local.set $id (i32.load offset=4 (local.get $at)))
          (br_if $stop (i32.ge_u (local.get $id) (i32.const 4096)))
          (br_if $stop (i32.ge_s (local.get $owed) (local.get $credit)))
          (br_if $stop (i32.load8_u offset=4096 (i32.add (local.get $block) (local.get $id))))
          (local.set $length (local.get $prefix))
          (local.set $part (i32.const 0))
          ;; The one fetch of the fragments. They are kept in the block.
          (loop $fragment
            (local.set $from (i32.shl (local.get $part) (i32.const 3)))
            (local.set $pair (i64.load offset=20 align=4 (i32.add (local.get $at) (local.get $from))))
            (i64.store offset=56 (i32.add (local.get $block) (local.get $from)) (local.get $pair))
            (local.set $range (i32.wrap_i64 (local.get $pair)))
            (local.set $piece (i32.and (local.get $range) (i32.const 0xffff)))
            (br_if $stop (i32.eqz (local.get $piece)))
            (br_if $stop
              (i32.gt_u
                (i32.add (i32.shr_u (local.get $range) (i32.const 16)) (local.get $piece)) (i32.const 4096)))
            (local.set $length (i32.add (local.get $length) (local.get $piece)))
            (local.set $part (i32.add (local.get $part) (i32.const 1)))
            (br_if $fragment (i32.lt_u (local.get $part) (local.get $fragments))))
          (br_if $stop (i32.lt_u (local.get $length) (i32.const 14)))
          (local.set $last
            (i32.add
              (local.get $used) (i32.shr_u (i32.sub (local.get $length) (i32.const 1)) (i32.const 12))))
          ;; A packet of one page needs none.
          (br_if $stop
            (i32.and
              (i32.gt_s (local.get $last) (local.get $pages)) (i32.ne (local.get $last) (local.get $used))))
          (i32.store8 offset=4096 (i32.add (local.get $block) (local.get $id)) (i32.const 1))
          (if (local.get $prefix)
            (then
              (call $copyShort
                (i32.load (local.get $slot))
                (i32.add
                  (i32.add (local.get $at) (i32.shl (local.get $fragments) (i32.const 3))) (i32.const 20))
                (local.get $prefix))))
          (local.set $page (local.get $slot))
          (local.set $next
            (i32.add
              (i32.add (local.get $block) (i32.const 8448)) (i32.shl (local.get $used) (i32.const 3))))
          (local.set $filled (local.get $prefix))
          (local.set $part (i32.const 0))
          (loop $fragment
            (local.set $pair
              (i64.load offset=56 (i32.add (local.get $block) (i32.shl (local.get $part) (i32.const 3)))))
            (local.set $range (i32.wrap_i64 (local.get $pair)))
            (local.set $from (i32.shr_u (local.get $range) (i32.const 16)))
            (local.set $left (i32.and (local.get $range) (i32.const 0xffff)))
            (loop $cut
              ;; As much as the page has room for.
              (local.set $piece (i32.sub (i32.const 4096) (local.get $filled)))
              (local.set $piece
                (select
                  (local.get $left)
                  (local.get $piece)
                  (i32.lt_u (local.get $left) (local.get $piece))))
              (call $copyElement
                (local.get $element)
                (i32.load offset=8 (local.get $block))
                (i64.shr_u (local.get $pair) (i64.const 32))
                (local.get $from)
                (i64.load32_u offset=4 (local.get $page))
                (local.get $filled)
                (local.get $piece))
              (local.set $element (i32.add (local.get $element) (i32.const 40)))
              (local.set $copies (i32.add (local.get $copies) (i32.const 1)))
              (local.set $from (i32.add (local.get $from) (local.get $piece)))
              (local.set $left (i32.sub (local.get $left) (local.get $piece)))
              (local.set $filled (i32.add (local.get $filled) (local.get $piece)))
              (if (i32.eq (local.get $filled) (i32.const 4096))
                (then
                  (local.set $filled (i32.const 0))
                  (local.set $page (local.get $next))
                  (local.set $next (i32.add (local.get $next) (i32.const 8)))))
              (br_if $cut (local.get $left)))
            (local.set $part (i32.add (local.get $part) (i32.const 1)))
            (br_if $fragment (i32.lt_u (local.get $part) (local.get $fragments))))
          (i32.store offset=20 (local.get $record) (local.get $used))
          (local.set $used (local.get $last))
          (local.set $owed (i32.add (local.get $owed) (i32.const 1)))
          (i32.store (local.get $record) (local.get $id))
          (i32.store offset=4 (local.get $record) (local.get $length))
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
  (i32.store offset=48 (local.get $block) (local.get $copies))
  (i32.store offset=52 (local.get $block) (local.get $used))
  (local.get $taken))
