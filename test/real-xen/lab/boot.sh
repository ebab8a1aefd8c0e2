#!/bin/bash
# usage: boot.sh JOB_DIR SECONDS NAME
# Boots Xen and dom0 in qemu without hardware support, runs JOB_DIR/run.sh in dom0 and prints what it said. What it leaves in
# /out comes back to XEN_LAB_DIR/runs/NAME/out. Exit status: the job's own; 124 out of time; 125 dom0 did not get there.
# Environment: XEN_ARGS and DOM0_ARGS are added to the command lines of hypervisor and dom0's kernel.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
job=$(cd "$1" && pwd); limit=$2; name=$3
run=$XEN_LAB_DIR/runs/$name; rm -rf "$run"; mkdir -p "$run/stage/job" "$run/out"
cp -aL "$job/." "$run/stage/job/"; chmod 755 "$run/stage/job/run.sh"
# The kernel unpacks concatenated archives one after the other, so the job rides behind dom0's own.
cp --reflink=auto "$XEN_LAB_DIR/image/dom0.cpio" "$run/initrd"
(cd "$run/stage" && find . | cpio -o -H newc --quiet) >> "$run/initrd"
# Mitigations and hardening cost much under emulation and protect nothing there.
xen_args="dom0_mem=1536M,max:1536M dom0_max_vcpus=2 com1=115200,8n1 console=com1 loglvl=all guest_loglvl=all \
gnttab=max-ver:2 xpti=off spec-ctrl=off pv-l1tf=off smt=1 watchdog=0 noreboot ${XEN_ARGS:-}"
dom0_args="console=hvc0 rdinit=/init panic=1 mitigations=off init_on_alloc=0 rodata=off loglevel=4 nokaslr ${DOM0_ARGS:-}"
# Nehalem: a model with SMAP stops dom0's kernel under emulation, and "max" corrupts processes now and then.
qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu Nehalem -smp 2 -m 4096 -nodefaults -no-reboot -display none \
  -serial "file:$run/console.log" -serial "file:$run/out.tar.gz" -kernel "$XEN_LAB_DIR/image/xen" -append "$xen_args" \
  -initrd "$XEN_LAB_DIR/image/vmlinux $dom0_args,$run/initrd" > "$run/qemu.log" 2>&1 &
qemu=$!
trap 'kill $qemu 2>/dev/null || true' EXIT
SECONDS=0; out_of_time=0
while kill -0 $qemu 2>/dev/null; do
  if grep -aq 'LAB-END status=' "$run/console.log" 2>/dev/null; then
    for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 $qemu 2>/dev/null || break; sleep 1; done
    break
  fi
  if grep -aqE 'Kernel panic - not|Dom0 crashed|Panic on CPU' "$run/console.log" 2>/dev/null; then sleep 2; break; fi
  if [ $SECONDS -gt "$limit" ]; then out_of_time=1; break; fi
  sleep 0.5
done
kill $qemu 2>/dev/null || true; wait $qemu 2>/dev/null || true; trap - EXIT
times > "$run/times"
rm -f "$run/initrd"
tr -d '\r' < "$run/console.log" | sed -n '/LAB-BEGIN/,/LAB-END/p' | grep -v '^LAB-' || true
(cd "$run/out" && tar -xzf ../out.tar.gz 2>/dev/null) || true
[ $out_of_time = 0 ] || exit 124
status=$(tr -d '\r' < "$run/console.log" | sed -n 's/.*LAB-END status=\([0-9]*\).*/\1/p' | tail -1)
exit "${status:-125}"
