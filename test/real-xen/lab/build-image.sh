#!/bin/bash
# Builds XEN_LAB_DIR/image: xen (multiboot ELF), vmlinux (plain ELF: nothing has to unpack it under emulation), guest.cpio and
# dom0.cpio (initramfs of guests and of dom0).
set -euo pipefail
. "$(dirname "$0")/settings.sh"
cd "$XEN_LAB_DIR"
kernel_version=$(basename kernel/boot/vmlinuz-* | sed 's/^vmlinuz-//')
modules=kernel/lib/modules/$kernel_version/kernel
rm -rf root guest image.new; mkdir -p root guest image.new

gunzip -c "xen/boot/xen-$xen_version-amd64.gz" > image.new/xen
python3 - "kernel/boot/vmlinuz-$kernel_version" image.new/vmlinux.full <<'PY'
import lzma, sys
image = open(sys.argv[1], 'rb').read()
at = image.find(b'\xfd7zXZ\x00')
kernel = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(image[at:])
assert kernel[:4] == b'\x7fELF'
open(sys.argv[2], 'wb').write(kernel)
PY
strip -g -o image.new/vmlinux image.new/vmlinux.full && rm image.new/vmlinux.full

# --- the guest
mkdir -p guest/{bin,dev,proc,sys,tmp,lib,lib64}
cp "$(command -v busybox)" guest/bin/busybox
for applet in $(guest/bin/busybox --list | grep -vx busybox); do ln -sf busybox "guest/bin/$applet"; done
cp xen/bin/nc.traditional guest/bin/
cp --remove-destination "$(command -v bash)" guest/bin/bash
for library in libc.so.6 libresolv.so.2 libtinfo.so.6; do cp -L "/lib/x86_64-linux-gnu/$library" guest/lib/; done
cp -L /lib64/ld-linux-x86-64.so.2 guest/lib64/
cp "$lab_sources"/guest/bin/* guest/bin/
cp $modules/drivers/net/xen-netfront.ko guest/lib/
cp "$lab_sources/guest/init" guest/init
chmod 755 guest/init guest/bin/*
(cd guest && find . | cpio -o -H newc --quiet) > image.new/guest.cpio

# --- dom0
mkdir -p root/usr/{bin,sbin,lib,lib64} root/{dev,proc,sys,run,tmp,out,job,opt,etc,root,guest,var/lib,var/log}
for directory in bin sbin lib lib64; do ln -s "usr/$directory" "root/$directory"; done
ln -s ../run root/var/run; mkdir -p root/var/lock
tar -C xen --exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/include --exclude=./boot \
    --exclude='*.a' --exclude=./usr/lib/debug --exclude=./lib/systemd -c . | tar -C root -x --keep-directory-symlink
mkdir -p root/usr/lib/busybox
cp "$(command -v busybox)" root/usr/bin/busybox
for applet in $(busybox --list); do ln -sf /usr/bin/busybox "root/usr/lib/busybox/$applet"; done
ln -sf busybox root/usr/bin/sh
[ -e root/usr/bin/bash ] || cp "$(command -v bash)" root/usr/bin/bash
node=$(readlink -f "$(node -p process.execPath)")
strip -o root/usr/bin/node "$node" || cp "$node" root/usr/bin/node
mkdir -p root/node_modules/@koromix
cp -a "$repository/node_modules/koffi" root/node_modules/
cp -a "$repository/node_modules/@koromix/koffi-linux-x64" root/node_modules/@koromix/
rm -rf root/node_modules/koffi/{src,vendor,doc}
for module in drivers/xen/xen-gntdev drivers/xen/xen-gntalloc drivers/xen/xen-evtchn drivers/xen/xen-privcmd \
  drivers/xen/xenfs/xenfs drivers/net/xen-netback/xen-netback drivers/net/xen-netfront drivers/net/tun \
  drivers/net/veth net/bridge/bridge net/802/stp net/802/garp net/802/mrp net/llc/llc net/8021q/8021q net/packet/af_packet; do
  if [ -e "$modules/$module.ko" ]; then
    mkdir -p "root/lib/modules/$kernel_version/kernel/$(dirname $module)"
    cp "$modules/$module.ko" "root/lib/modules/$kernel_version/kernel/$module.ko"
  fi
done
cp "kernel/lib/modules/$kernel_version"/modules.{builtin,order}* "root/lib/modules/$kernel_version/" 2>/dev/null || true
(exec -a depmod root/usr/bin/kmod -b root "$kernel_version")
mkdir -p root/opt/lab
cp "$lab_sources"/dom0/* root/opt/lab/
cp "xen/boot/xen-$xen_version-amd64.config" root/opt/lab/xen.config
mv root/opt/lab/init root/init; chmod 755 root/init root/opt/lab/*
printf 'root:x:0:0:root:/root:/bin/sh\n' > root/etc/passwd; printf 'root:x:0:\n' > root/etc/group
printf 'autoballoon="off"\nrun_hotplug_scripts=1\nvif.default.script="/opt/lab/vif-plugged"\n' > root/etc/xen/xl.conf
ln -sf /opt/lab/vif-plugged root/etc/xen/scripts/vif-plugged
cp image.new/vmlinux image.new/guest.cpio root/guest/
# Shared libraries that the programs need and the unpacked packages do not hold come from this machine.
libraries=$PWD/root/usr/lib/x86_64-linux-gnu; mkdir -p "$libraries"
find root/usr/bin root/usr/sbin "root/usr/lib/xen-$xen_version" root/node_modules "$libraries" -type f \
  \( -perm -u+x -o -name '*.so*' -o -name '*.node' \) | while read -r file; do
  LD_LIBRARY_PATH=$libraries ldd "$file" 2>/dev/null |
    awk '$2=="=>" && $3 ~ /^\//{print $3} $1 ~ /^\/lib64\//{print $1}' || true
done | sort -u | while read -r library; do
  case $library in
    "$libraries"/*) ;;
    /lib64/*) [ -e "root$library" ] || cp -L "$library" "root$library" ;;
    *) [ -e "$libraries/$(basename "$library")" ] || cp -L "$library" "$libraries/" ;;
  esac
done
(cd root && find . | cpio -o -H newc --quiet) > image.new/dom0.cpio
rm -rf image; mv image.new image
