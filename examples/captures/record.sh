#!/usr/bin/env bash
# Records linux-veth.pcap: two Linux network stacks, each in a network namespace of its own, talk over a veth pair while
# tcpdump listens at host A's end. Needs root, a Linux kernel with veth, and iproute2, ethtool, iputils-ping, python3
# and tcpdump. Usage: ./record.sh [output.pcap]
set -euo pipefail

output=${1:-"$(dirname "$0")/linux-veth.pcap"}
a=nc2-host-a
b=nc2-host-b
mac_a=02:00:00:00:00:0a
mac_b=02:00:00:00:00:0b
ip_a=192.0.2.1
ip_b=192.0.2.2
work=$(mktemp -d)
started=()

cleanup() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  ip netns del "$a" 2>/dev/null || true
  ip netns del "$b" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

in_a() { ip netns exec "$a" "$@"; }
in_b() { ip netns exec "$b" "$@"; }

ip netns add "$a"
ip netns add "$b"
for host in "$a" "$b"; do
  # Neighbour and router discovery of IPv6 would add frames at random moments.
  ip netns exec "$host" sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
  # Room for one 64 KiB segmentation-offload frame, and no more than the transfer needs.
  ip netns exec "$host" sysctl -q -w net.ipv4.tcp_rmem="4096 1048576 1048576" net.ipv4.tcp_wmem="4096 1048576 1048576"
done
ip link add eth0 netns "$a" address "$mac_a" type veth peer name eth0 netns "$b" address "$mac_b"
in_a ip addr add "$ip_a/24" dev eth0
in_b ip addr add "$ip_b/24" dev eth0

offloads() { # on|off: what the two network cards promise to do for their stacks
  in_a ethtool -K eth0 tso "$1" gso "$1" gro off tx "$1" >/dev/null
  in_b ethtool -K eth0 tso "$1" gso "$1" gro off tx "$1" >/dev/null
}
mtu() {
  in_a ip link set eth0 mtu "$1"
  in_b ip link set eth0 mtu "$1"
}

offloads off
mtu 1500
in_a ip link set eth0 up
in_b ip link set eth0 up

# A snapshot length above 64 KiB, and no immediate mode (whose ring has slots of one MTU): no frame is cut.
ip netns exec "$a" tcpdump -i eth0 -n -s 262144 -B 16384 --time-stamp-precision=nano -U -w "$work/all.pcap" 2>"$work/tcpdump.log" &
started+=($!)
until grep -q 'listening on' "$work/tcpdump.log"; do sleep 0.1; done

# ARP and ICMP echo, both ways. 2000 and 4000 bytes leave as IP fragments.
for size in 0 18 56 120 500 1000 1472 2000 4000; do
  in_a ping -q -n -c 2 -i 0.01 -s "$size" "$ip_b" >/dev/null
  in_b ping -q -n -c 2 -i 0.01 -s "$size" "$ip_a" >/dev/null
done

# DNS over UDP, both ways: each host asks the other. Questions of 30 to 90 bytes, answers of up to 512.
cat >"$work/dns.py" <<'PYTHON'
import socket, struct, sys, threading

own, peer, role = sys.argv[1], sys.argv[2], sys.argv[3]

def question(number):
    labels = [b"host%d" % number, b"x" * (1 + number * 7 % 50), b"example", b"net"]
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + name + struct.pack(">2H", 1, 1)

def answer(asked, records):
    header = asked[:2] + struct.pack(">5H", 0x8180, 1, records, 0, 0)
    record = struct.pack(">3HIH", 0xC00C, 1, 1, 300, 4)
    return header + asked[12:] + b"".join(record + bytes([192, 0, 2, i + 1]) for i in range(records))

if role == "serve":
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((own, 53))
    print("ready", flush=True)
    while True:
        asked, client = server.recvfrom(512)
        room = (512 - len(asked)) // 16
        server.sendto(answer(asked, 1 + struct.unpack(">H", asked[:2])[0] * 5 % room), client)
else:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(2)
    client.bind((own, 0))
    for number in range(1, 41):
        client.sendto(question(number), (peer, 53))
        client.recv(512)
PYTHON
ip netns exec "$b" python3 "$work/dns.py" "$ip_b" "$ip_a" serve >"$work/serve-b" &
started+=($!)
ip netns exec "$a" python3 "$work/dns.py" "$ip_a" "$ip_b" serve >"$work/serve-a" &
started+=($!)
until grep -q ready "$work/serve-a" && grep -q ready "$work/serve-b"; do sleep 0.1; done
in_a python3 "$work/dns.py" "$ip_a" "$ip_b" ask
in_b python3 "$work/dns.py" "$ip_b" "$ip_a" ask

transfer() { # from bytes to: one TCP stream, written at once
  ip netns exec "$3" python3 -c "
import socket
s = socket.create_server(('0.0.0.0', 5202)); print('ready', flush=True)
c, _ = s.accept()
while c.recv(1 << 20): pass" >"$work/ready" &
  local server=$!
  started+=("$server")
  until grep -q ready "$work/ready"; do sleep 0.1; done
  ip netns exec "$1" python3 -c "
import socket, sys
c = socket.create_connection(('$4', 5202))
c.sendall(bytes(i * 31 >> 3 & 255 for i in range($2)))"
  wait "$server"
}

# TCP bulk both ways, without segmentation offload: full frames of 1514 bytes.
transfer "$a" 550000 "$b" "$ip_b"
transfer "$b" 280000 "$a" "$ip_a"

# Jumbo frames: echoes in one frame of up to 9014 bytes.
mtu 9000
for size in 4000 8000 8972; do
  in_a ping -q -n -c 1 -s "$size" "$ip_b" >/dev/null
  in_b ping -q -n -c 1 -s "$size" "$ip_a" >/dev/null
done
mtu 1500

# TCP bulk with segmentation and checksum offload: frames of up to 64 KiB, whose checksum field holds the partial sum.
offloads on
in_a ip route change 192.0.2.0/24 dev eth0 src "$ip_a" initcwnd 200 initrwnd 400
in_b ip route change 192.0.2.0/24 dev eth0 src "$ip_b" initcwnd 200 initrwnd 400
transfer "$a" 300000 "$b" "$ip_b"
transfer "$b" 100000 "$a" "$ip_a"

sleep 2
kill "${started[0]}"
wait "${started[0]}" || true
cat "$work/tcpdump.log" >&2
mv "$work/all.pcap" "$output"
