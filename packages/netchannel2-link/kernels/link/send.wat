;; Sending: the PACKETs most frames become, as in packet-sender.ts.
;;
;; Of the block of the link, bytes from its start: 8192 + id: see finish.wat; from 10240 on the packets that were noted, sixteen
;; bytes each: the address of the message (with bit 0 set where an event is wanted, and in bits 1 and 2 how many further pieces the
;; frame has), that of the first piece, the id and in the upper half the piece's bytes, the guest frame; from 11264 on sixteen bytes
;; each of the further pieces: bytes and in the upper half the offset, the guest frame; from 12288 on thirty-two bytes for each id:
;; the models of its grant's publication and revocation (grant-runs.ts in xen), 16 and 8 bytes, its reference, and the last word
;; of the model of a publication that leads to another grant. Those of a packet's second grant are 8192 bytes behind, as those of
;; its third are behind them.

;; A packet without fragments. $kind: the third word.
(func (export "writeInline")
  (param $at i32) (param $size i32) (param $id i32) (param $kind i32) (param $length i32) (param $source i32)
  (i64.store align=4
    (i32.add (local.get $at) (i32.sub (local.get $size) (i32.const 8))) (i64.const 0))
  (i32.store (local.get $at) (i32.or (i32.const 2) (i32.shl (local.get $size) (i32.const 16))))
  (i32.store offset=4 (local.get $at) (local.get $id))
  (i32.store offset=8 (local.get $at) (local.get $kind))
  (i32.store offset=12 (local.get $at) (local.get $length))
  (i32.store offset=16 (local.get $at) (i32.const 0))
  (call $copyShort (i32.add (local.get $at) (i32.const 20)) (local.get $source) (local.get $length)))

;; The first piece of a packet that was noted at $note: its message but for the descriptors of $further bytes of other pieces, and
;; its grant, by $model, as the entry at $list.
(func $writePiece
  (param $note i32) (param $at i32) (param $size i32) (param $further i32) (param $list i32) (param $model i32)
  (param $prefix i32) (param $kind i32) (param $candidate i32)
  (local $source i32) (local $length i32) (local $from i32)
  (local.set $source (i32.load offset=4 (local.get $note)))
  (local.set $length (i32.sub (i32.load16_u offset=10 (local.get $note)) (local.get $prefix)))
  (local.set $from (i32.add (i32.and (local.get $source) (i32.const 0xfff)) (local.get $prefix)))
  (i64.store align=4
    (i32.add (local.get $at) (i32.sub (local.get $size) (i32.const 8))) (i64.const 0))
  (i32.store (local.get $at) (i32.or (i32.const 2) (i32.shl (local.get $size) (i32.const 16))))
  (i32.store offset=4 (local.get $at) (i32.load16_u offset=8 (local.get $note)))
  (i32.store offset=8 (local.get $at)
    (i32.or
      (i32.or
        (local.get $kind)
        (i32.shl (i32.and (i32.load (local.get $note)) (i32.const 1)) (i32.const 11)))
      (i32.and
        (local.get $candidate)
        (i32.sub (i32.and (i32.load8_u (local.get $source)) (i32.const 1)) (i32.const 1)))))
  (i32.store offset=12 (local.get $at) (local.get $prefix))
  (i32.store offset=16 (local.get $at) (i32.const 0))
  (i32.store offset=20 (local.get $at)
    (i32.or (local.get $length) (i32.shl (local.get $from) (i32.const 16))))
  (i32.store offset=24 (local.get $at) (i32.load offset=24 (local.get $model)))
  (call $copyShort
    (i32.add (i32.add (local.get $at) (local.get $further)) (i32.const 28)) (local.get $source) (local.get $prefix))
  (v128.store (local.get $list)
    (i32x4.replace_lane 2
      (i32x4.replace_lane 1
        (v128.load (local.get $model))
        (i32.or (local.get $from) (i32.shl (local.get $length) (i32.const 16))))
      (i32.load offset=12 (local.get $note)))))

;; The first $count packets that were noted, each of a prefix of $prefix bytes and one fragment, and their grants as entries of
;; a list of publications, from $list on. $kind: the third word of all; $candidate: what it has more if the frame goes to one
;; station. Answers how many bytes the frames have.
(func (export "writePieces")
  (param $block i32) (param $count i32) (param $list i32) (param $prefix i32) (param $kind i32) (param $candidate i32)
  (result i32)
  (local $bytes i32) (local $note i32) (local $end i32) (local $size i32) (local $id i32)
  (local.set $size (i32.and (i32.add (local.get $prefix) (i32.const 35)) (i32.const -8)))
  (local.set $note (i32.add (local.get $block) (i32.const 10240)))
  (local.set $end (i32.add (local.get $note) (i32.shl (local.get $count) (i32.const 4))))
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (local.get $note) (local.get $end)))
      (local.set $id (i32.load16_u offset=8 (local.get $note)))
      (call $writePiece
        (local.get $note)
        (i32.and (i32.load (local.get $note)) (i32.const -8))
        (local.get $size)
        (i32.const 0)
        (local.get $list)
        (i32.add (i32.add (local.get $block) (i32.const 12288)) (i32.shl (local.get $id) (i32.const 5)))
        (local.get $prefix)
        (local.get $kind)
        (local.get $candidate))
      (local.set $bytes (i32.add (local.get $bytes) (i32.load16_u offset=10 (local.get $note))))
      (i32.store8 offset=8192 (i32.add (local.get $block) (local.get $id)) (i32.const 1))
      (local.set $list (i32.add (local.get $list) (i32.const 16)))
      (local.set $note (i32.add (local.get $note) (i32.const 16)))
      (br $next)))
  (local.get $bytes))

;; As writePieces, where packets may have further pieces, each with a fragment of its own.
(func (export "writeSeveral")
  (param $block i32) (param $count i32) (param $list i32) (param $prefix i32) (param $kind i32) (param $candidate i32)
  (result i32)
  (local $bytes i32) (local $note i32) (local $end i32) (local $at i32) (local $id i32) (local $model i32)
  (local $further i32) (local $step i32) (local $piece i32) (local $from i32)
  (local.set $note (i32.add (local.get $block) (i32.const 10240)))
  (local.set $end (i32.add (local.get $note) (i32.shl (local.get $count) (i32.const 4))))
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (local.get $note) (local.get $end)))
      (local.set $id (i32.load16_u offset=8 (local.get $note)))
      (local.set $at (i32.and (i32.load (local.get $note)) (i32.const -8)))
      ;; Bytes of the descriptors of further pieces.
      (local.set $further (i32.shl (i32.and (i32.load (local.get $note)) (i32.const 6)) (i32.const 2)))
      (local.set $model
        (i32.add (i32.add (local.get $block) (i32.const 12288)) (i32.shl (local.get $id) (i32.const 5))))
      (call $writePiece
        (local.get $note)
        (local.get $at)
        (i32.and (i32.add (i32.add (local.get $prefix) (local.get $further)) (i32.const 35)) (i32.const -8))
        (local.get $further)
        (local.get $list)
        (local.get $model)
        (local.get $prefix)
        (local.get $kind)
        (local.get $candidate))
      (local.set $bytes (i32.add (local.get $bytes) (i32.load16_u offset=10 (local.get $note))))
      (i32.store8 offset=8192
        (i32.add (local.get $block) (local.get $id))
        (i32.add (i32.shr_u (local.get $further) (i32.const 3)) (i32.const 1)))
      (local.set $list (i32.add (local.get $list) (i32.const 16)))
      (local.set $step (i32.const 0))
      (block $last
        (loop $pieces
          (br_if $last (i32.ge_u (local.get $step) (local.get $further)))
          (local.set $model (i32.add (local.get $model) (i32.const 8192)))
          (local.set $piece (i32.load offset=1024 (i32.add (local.get $note) (local.get $step))))
          (local.set $bytes (i32.add (local.get $bytes) (i32.and (local.get $piece) (i32.const 0xffff))))
          (local.set $from (i32.add (local.get $at) (local.get $step)))
          (i32.store offset=28 (local.get $from) (local.get $piece))
          (i32.store offset=32 (local.get $from) (i32.load offset=24 (local.get $model)))
          ;; The entry has the offset in the lower half.
          (v128.store (local.get $list)
            (i32x4.replace_lane 2
              (i32x4.replace_lane 1
                (v128.load (local.get $model)) (i32.rotl (local.get $piece) (i32.const 16)))
              (i32.load offset=1028 (i32.add (local.get $note) (local.get $step)))))
          (local.set $list (i32.add (local.get $list) (i32.const 16)))
          (local.set $step (i32.add (local.get $step) (i32.const 8)))
          (br $pieces)))
      (local.set $note (i32.add (local.get $note) (i32.const 16)))
      (br $next)))
  (local.get $bytes))
