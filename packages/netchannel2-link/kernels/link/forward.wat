;; Forwarding: runs of packets between the same two addresses, from one link's ring to another's, as forwarding-run.ts has
;; decided: without offloads, whole in their prefix or in a few fragments behind it. Words of a message are fetched once; the
;; addresses that are compared are the bytes that go on; the rest of the inline bytes is moved and not believed.
;;
;; Of the block of the link that receives, beside what receive.wat names, bytes from its start: 28 the addresses, twelve
;; bytes; answers: 12 bytes written, 20 packets with a fragment, 24 bytes of frames, 40 bytes copied, 44 grants. From 3072 on
;; sixteen bytes for each packet with a fragment: the id it gets; answers: how many fragments it has, and its sender's id. Of the
;; block of the link that sends: the bytes at 8192 of finish.wat, and from 12288 on, see send.wat.

;; As takePlain; $pieces: packets with a fragment at most, $parts: fragments of each at most; $target: where messages are
;; written, $room: how many bytes. $sink: the block of the link that sends; their grants become entries of a list of publications,
;; from $list on: each leads to the sender's.
(func (export "forwardPlain")
  (param $block i32) (param $consumed i32) (param $produced i32) (param $limit i32) (param $header i32)
  (param $most i32) (param $pieces i32) (param $target i32) (param $room i32) (param $sink i32) (param $list i32)
  (param $parts i32)
  (result i32)
  (local $taken i32) (local $owed i32) (local $bytes i32) (local $copied i32) (local $ring i32) (local $mask i32)
  (local $size i32) (local $at i32) (local $kind i32) (local $prefix i32) (local $fragments i32) (local $slot i32)
  (local $range i32) (local $length i32) (local $id i32) (local $from i32) (local $behind i32)
  (local $start i32) (local $written i32) (local $outSize i32) (local $out i32) (local $head v128) (local $owner i32)
  (local $model i32) (local $part i32) (local $grants i32) (local $bound i32)
  ;; A block that was given back lies in a page of zeros.
  (if (i32.eqz (i32.load offset=4 (local.get $block))) (then (return (i32.const 0))))
  (local.set $ring (i32.load (local.get $block)))
  (local.set $mask (i32.sub (i32.load offset=4 (local.get $block)) (i32.const 1)))
  (local.set $owner (i32.load offset=8 (local.get $block)))
  (local.set $slot (i32.add (local.get $block) (i32.const 3072)))
  (local.set $size (i32.shr_u (local.get $header) (i32.const 16)))
  (local.set $behind (local.get $consumed))
  (local.set $at
    (i32.add (local.get $ring)
      (i32.and (i32.sub (local.get $consumed) (local.get $size)) (local.get $mask))))
  (block $stop
    (loop $next
      (local.set $kind (i32.load offset=8 (local.get $at)))
      (local.set $prefix (i32.and (i32.load offset=12 (local.get $at)) (i32.const 0xffff)))
      (br_if $stop (i32.and (local.get $kind) (i32.const 0x00ff0100)))
      ;; Sixteen bytes at least, so that one fetch has both addresses.
      (br_if $stop (i32.gt_u (i32.sub (local.get $prefix) (i32.const 16)) (i32.const 240)))
      (local.set $fragments
        (i32.shr_s (i32.sub (i32.sub (local.get $size) (i32.const 20)) (local.get $prefix)) (i32.const 3)))
      (local.set $length (local.get $prefix))
      (if (i32.eq (i32.and (local.get $kind) (i32.const 0xff)) (i32.const 4))
        (then (br_if $stop (local.get $fragments)))
        (else
          (br_if $stop (i32.ne (i32.and (local.get $kind) (i32.const 0xff)) (i32.const 1)))
          (br_if $stop (i32.ge_u (i32.sub (local.get $fragments) (i32.const 1)) (local.get $parts)))
          (br_if $stop (i32.ge_s (local.get $owed) (local.get $pieces)))
          (local.set $id (i32.load offset=4 (local.get $at)))
          (br_if $stop (i32.ge_u (local.get $id) (i32.const 4096)))
          (br_if $stop (i32.load8_u offset=4096 (i32.add (local.get $block) (local.get $id))))))
      (local.set $start (i32.add (i32.const 20) (i32.shl (local.get $fragments) (i32.const 3))))
      (local.set $outSize
        (i32.and (i32.add (i32.add (local.get $start) (local.get $prefix)) (i32.const 7)) (i32.const -8)))
      (br_if $stop (i32.gt_s (i32.add (local.get $written) (local.get $outSize)) (local.get $room)))
      (local.set $head (v128.load align=4 (i32.add (local.get $at) (local.get $start))))
      (br_if $stop (i32.ne (i32x4.extract_lane 0 (local.get $head)) (i32.load offset=28 (local.get $block))))
      (br_if $stop (i32.ne (i32x4.extract_lane 1 (local.get $head)) (i32.load offset=32 (local.get $block))))
      (br_if $stop (i32.ne (i32x4.extract_lane 2 (local.get $head)) (i32.load offset=36 (local.get $block))))
      (local.set $out (i32.add (local.get $target) (local.get $written)))
      (i64.store align=4
        (i32.add (local.get $out) (i32.sub (local.get $outSize) (i32.const 8))) (i64.const 0))
      (i32.store (local.get $out) (i32.or (i32.const 2) (i32.shl (local.get $outSize) (i32.const 16))))
      ;; That the data is validated is said again.
      (i32.store offset=8 (local.get $out) (i32.and (local.get $kind) (i32.const 0x2ff)))
      (i32.store offset=12 (local.get $out) (local.get $prefix))
      (i32.store offset=16 (local.get $out) (i32.const 0))
      (if (local.get $fragments)
        (then
          (i32.store offset=4 (local.get $out) (i32.load (local.get $slot)))
          (local.set $model
            (i32.add
              (i32.add (local.get $sink) (i32.const 12288))
              (i32.shl (i32.load (local.get $slot)) (i32.const 5))))
          (local.set $part (i32.const 0))
          ;; What a packet that turns out to be none of these has written is behind the last that counts, and is shown to nobody.
          (loop $fragment
            (local.set $from (i32.add (local.get $at) (i32.shl (local.get $part) (i32.const 3))))
            (local.set $range (i32.load offset=20 (local.get $from)))
            (local.set $bound (i32.and (local.get $range) (i32.const 0xffff)))
            (br_if $stop (i32.eqz (local.get $bound)))
            (br_if $stop
              (i32.gt_u
                (i32.add (i32.shr_u (local.get $range) (i32.const 16)) (local.get $bound)) (i32.const 4096)))
            (local.set $length (i32.add (local.get $length) (local.get $bound)))
            (v128.store (local.get $list)
              (i32x4.replace_lane 3
                (i32x4.replace_lane 2
                  (i32x4.replace_lane 1 (v128.load (local.get $model)) (local.get $owner))
                  (i32.load offset=24 (local.get $from)))
                (i32.load offset=28 (local.get $model))))
            (local.set $list (i32.add (local.get $list) (i32.const 16)))
            (local.set $from (i32.add (local.get $out) (i32.shl (local.get $part) (i32.const 3))))
            (i32.store offset=20 (local.get $from) (local.get $range))
            (i32.store offset=24 (local.get $from) (i32.load offset=24 (local.get $model)))
            (local.set $model (i32.add (local.get $model) (i32.const 8192)))
            (local.set $part (i32.add (local.get $part) (i32.const 1)))
            (br_if $fragment (i32.lt_u (local.get $part) (local.get $fragments))))
          (i32.store8 offset=8192
            (i32.add (local.get $sink) (i32.load (local.get $slot))) (local.get $fragments))
          (i32.store offset=4 (local.get $slot) (local.get $fragments))
          (i32.store offset=8 (local.get $slot) (local.get $id))
          (local.set $slot (i32.add (local.get $slot) (i32.const 16)))
          (i32.store8 offset=4096 (i32.add (local.get $block) (local.get $id)) (i32.const 1))
          (local.set $grants (i32.add (local.get $grants) (local.get $fragments)))
          (local.set $owed (i32.add (local.get $owed) (i32.const 1))))
        (else (i32.store offset=4 (local.get $out) (i32.const 0x80000000))))
      (v128.store align=4 (i32.add (local.get $out) (local.get $start)) (local.get $head))
      (call $copyShort
        (i32.add (i32.add (local.get $out) (local.get $start)) (i32.const 16))
        (i32.add (i32.add (local.get $at) (local.get $start)) (i32.const 16))
        (i32.sub (local.get $prefix) (i32.const 16)))
      (local.set $written (i32.add (local.get $written) (local.get $outSize)))
      (local.set $bytes (i32.add (local.get $bytes) (local.get $length)))
      (local.set $copied (i32.add (local.get $copied) (local.get $prefix)))
      (local.set $behind (local.get $consumed))
      (local.set $taken (i32.add (local.get $taken) (i32.const 1)))
      (br_if $stop (i32.ge_s (local.get $taken) (local.get $most)))
      (br_if $stop (i32.ge_s (i32.sub (local.get $consumed) (local.get $limit)) (i32.const 0)))
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
  (i32.store offset=12 (local.get $block) (local.get $written))
  (i32.store offset=16 (local.get $block) (local.get $behind))
  (i32.store offset=20 (local.get $block) (local.get $owed))
  (i32.store offset=24 (local.get $block) (local.get $bytes))
  (i32.store offset=40 (local.get $block) (local.get $copied))
  (i32.store offset=44 (local.get $block) (local.get $grants))
  (local.get $taken))
