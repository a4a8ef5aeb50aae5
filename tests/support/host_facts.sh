#!/bin/bash
# Makes one of each thing that the agent has to see, with Debian's own programs, on a host of its own: the caller gives it new mount and
# network namespaces (unshare --mount --net), in which it lays writable folders over those that it changes.
#   host_facts.sh FOLDER_OF_UNPACKED EMPTY_FOLDER AGENT
# Prints what the agent has printed, once all has been done and seen; otherwise ends with a sentence and 1.
set -eu
sshd=$1 folder=$2 agent=$3
export LC_ALL=C HOME=$folder PATH=/usr/sbin:/usr/bin:/sbin:/bin

fail() {
    echo "$*" >&2
    cat "$folder/said" "$folder/sshd.log" >&2 2>/dev/null || true
    exit 1
}

# Waits until the agent has printed what matches: each message is a line, and each fact has a word of its own.
await() {
    local deadline=$((SECONDS + 60))
    until grep -Eq "$1" "$folder/seen"; do
        [ $SECONDS -lt $deadline ] || fail "the agent has not printed $1"
        read -r -t 0.1 <>"$folder/never" || true
    done
}

mount -t tmpfs none "$folder"
mkfifo "$folder/never"
for path in /etc /var/log /var/lib/dpkg; do
    mkdir -p "$folder/over$path" "$folder/work$path"
    mount -t overlay -o "lowerdir=$path,upperdir=$folder/over$path,workdir=$folder/work$path" none "$path"
done
mount -t tmpfs none /run
mkdir -p /run/sshd
: >/var/log/wtmp
: >/var/log/btmp
chmod 600 /var/log/btmp
ip link set lo up
ip link add picket0 type veth peer name picket1
ip link set picket0 up
ip link set picket1 up

# A server with one user, who has a password.
getent passwd sshd >/dev/null || useradd --system --no-create-home --home-dir /run/sshd --shell /usr/sbin/nologin sshd
useradd --no-create-home --home-dir / --shell /bin/sh --password "$(openssl passwd -6 right)" grace
ssh-keygen -q -t ed25519 -N '' -f "$folder/host_key"
cat >"$folder/sshd_config" <<CONFIG
Port 2022
ListenAddress ::1
HostKey $folder/host_key
PidFile none
UsePAM no
PasswordAuthentication yes
CONFIG

cat >"$folder/agent.conf" <<CONFIG
send_interval_s = 1
process_interval_s = 1
socket_interval_s = 1
login_interval_s = 1
snapshot_interval_s = 1
CONFIG
: >"$folder/seen"
"$agent" --config "$folder/agent.conf" --dry-run >"$folder/seen" 2>"$folder/said" &
agent_pid=$!
trap 'kill $agent_pid 2>/dev/null || true' EXIT
await '"Name":"ListeningPorts"' # it has looked once: what comes now is new

# A socket that listens, on IPv6.
libraries=$(gcc -print-multiarch)
LD_LIBRARY_PATH=$sshd/usr/lib/$libraries:$sshd/lib/$libraries "$sshd/usr/sbin/sshd" -f "$folder/sshd_config" -E "$folder/sshd.log" -D &
trap 'kill $agent_pid $(jobs -p) 2>/dev/null || true' EXIT
await '"LocalPort":"2022"'

# A login that fails, and one that does not.
login() {
    printf '#!/bin/sh\necho %s\n' "$1" >"$folder/askpass"
    chmod 755 "$folder/askpass"
    SSH_ASKPASS=$folder/askpass SSH_ASKPASS_REQUIRE=force ssh -tt -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o NumberOfPasswordPrompts=1 \
        -o PreferredAuthentications=password -p 2022 grace@::1 true </dev/null >"$folder/ssh" 2>&1
}
login wrong && fail "a wrong password let somebody in"
login right || fail "the right password let nobody in: $(cat "$folder/ssh")"
await '"UserName":"grace"'

useradd --no-create-home --home-dir / hopper
await '"hopper"'

# A question to DNS, and a connection that is over within the same moment, each by a program of its own.
python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\4fact\6picket\7example\0\0\1\0\1", ("127.0.0.1", 53))'
await fact.picket.example
python3 -c 'import socket; l = socket.create_server(("127.0.0.1", 7007)); c = socket.create_connection(("127.0.0.1", 7007)); a = l.accept()[0]; c.close(); a.close(); l.close()'
await '"RemotePort":"7007"'

nft add table inet picket_facts
nft add chain inet picket_facts doorway '{ type filter hook input priority 0; policy drop; }'
nft add rule inet picket_facts doorway tcp dport 2022 accept
await doorway

mkdir -p "$folder/package/DEBIAN"
printf 'Package: picket-fact\nVersion: 1.2.3-4\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: a fact\n' >"$folder/package/DEBIAN/control"
dpkg-deb --build "$folder/package" "$folder/package.deb" >/dev/null
dpkg -i "$folder/package.deb" >/dev/null 2>&1 || fail "dpkg has not installed the package"
await picket-fact

echo changed >>/etc/motd
echo new >/etc/picket-fact.conf
await picket-fact.conf

ip link set picket1 down
await '"InterfaceName":"picket1"'

kill -TERM $agent_pid
wait $agent_pid || fail "the agent did not end in order"
cat "$folder/seen"
