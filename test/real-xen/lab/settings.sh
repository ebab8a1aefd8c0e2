# Sourced by the other scripts. XEN_LAB_DIR holds what is downloaded and built, about 1 GiB.
lab_sources="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
repository="$(cd "$lab_sources/../../.." && pwd)"
XEN_LAB_DIR="${XEN_LAB_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/netchannel2-real-xen}"
xen_version=4.17
mkdir -p "$XEN_LAB_DIR"
XEN_LAB_DIR="$(cd "$XEN_LAB_DIR" && pwd)"
