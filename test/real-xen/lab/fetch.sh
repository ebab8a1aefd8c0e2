#!/bin/bash
# Downloads the Debian 12 packages the lab's machine is made of and unpacks them; nothing is installed on this machine.
# XEN_LAB_XEN names a version of Debian's xen packages other than the newest that apt knows.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
mkdir -p "$XEN_LAB_DIR"/{packages,xen,kernel}
cd "$XEN_LAB_DIR/packages"
of_xen="xen-hypervisor-$xen_version-amd64 xen-utils-$xen_version xen-utils-common xenstore-utils libxencall1
  libxendevicemodel1 libxenevtchn1 libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenmisc$xen_version libxenstore4
  libxentoolcore1 libxentoollog1"
of_debian="libyajl2 libnl-3-200 libnl-route-3-200 libncurses6 libtinfo6 libfdt1 libpixman-1-0 libcap2
  libcap2-bin iproute2 libbpf1 libelf1 libmnl0 libxtables12 iputils-ping kmod bridge-utils netcat-traditional tcpdump
  libpcap0.8"
# The file of a package here, if there is one; of xen's packages that of the version asked for.
found() { ls -t "$1_${2:-}"*.deb 2>/dev/null | head -1 || true; }
kernel=$(ls -t linux-image-*.deb 2>/dev/null | head -1 || true); kernel=${kernel%%_*}
if [ -z "$kernel" ]; then
  kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
  [ -n "$kernel" ] || { echo "apt knows no linux-image-amd64: run apt-get update"; exit 1; }
fi
wanted=()
for package in $of_xen; do
  [ -n "$(found "$package" "${XEN_LAB_XEN:-}")" ] || wanted+=("$package${XEN_LAB_XEN:+=$XEN_LAB_XEN}")
done
for package in "$kernel" $of_debian; do [ -n "$(found "$package")" ] || wanted+=("$package"); done
if [ ${#wanted[@]} -gt 0 ]; then
  # apt downloads as a user of its own, who may not write here: as root it would say so for each package.
  sandbox=(); [ "$(id -u)" != 0 ] || sandbox=(-o APT::Sandbox::User=root)
  apt-get download -qq "${sandbox[@]}" "${wanted[@]}"
fi
# The mark names the file that was unpacked last.
unpack() {
  mark=$XEN_LAB_DIR/packages/$1.unpacked
  [ "$(cat "$mark" 2>/dev/null)" = "$2" ] || { dpkg-deb -x "$2" "$3"; echo "$2" > "$mark"; }
}
unpack "$kernel" "$(found "$kernel")" "$XEN_LAB_DIR/kernel"
for package in $of_xen; do unpack "$package" "$(found "$package" "${XEN_LAB_XEN:-}")" "$XEN_LAB_DIR/xen"; done
for package in $of_debian; do unpack "$package" "$(found "$package")" "$XEN_LAB_DIR/xen"; done
