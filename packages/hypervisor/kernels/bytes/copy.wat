;; Moves bytes inside the machine memory. Ranges may overlap; a range outside the memory traps and writes nothing.
(func (export "copy") (param $target i32) (param $source i32) (param $length i32)
  (memory.copy (local.get $target) (local.get $source) (local.get $length)))
(func (export "fill") (param $target i32) (param $value i32) (param $length i32)
  (memory.fill (local.get $target) (local.get $value) (local.get $length)))
