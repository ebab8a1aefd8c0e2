#!/bin/bash
# Downloads the Debian 12 packages the lab's machine is made of and unpacks them; nothing is installed on this machine.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
mkdir -p "$XEN_LAB_DIR"/{packages,xen,kernel}
cd "$XEN_LAB_DIR/packages"
kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
[ -n "$kernel" ] || { echo "apt knows no linux-image-amd64: run apt-get update"; exit 1; }
userland="xen-hypervisor-$xen_version-amd64 xen-utils-$xen_version xen-utils-common xenstore-utils libxencall1
  libxendevicemodel1 libxenevtchn1 libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenmisc$xen_version libxenstore4
  libxentoolcore1 libxentoollog1 libyajl2 libnl-3-200 libnl-route-3-200 libncurses6 libtinfo6 libfdt1 libpixman-1-0 libcap2
  libcap2-bin iproute2 libbpf1 libelf1 libmnl0 libxtables12 iputils-ping kmod bridge-utils netcat-traditional tcpdump
  libpcap0.8"
for package in "$kernel" $userland; do
  ls "${package}"_*.deb >/dev/null 2>&1 || apt-get download -qq "$package"
done
[ -d "$XEN_LAB_DIR/kernel/boot" ] || dpkg-deb -x "$kernel"_*.deb "$XEN_LAB_DIR/kernel"
for package in $userland; do
  done_mark="$XEN_LAB_DIR/packages/$package.unpacked"
  [ -e "$done_mark" ] || { dpkg-deb -x "${package}"_*.deb "$XEN_LAB_DIR/xen"; touch "$done_mark"; }
done
