#!/bin/bash
# Makes build/picket-agent_VERSION_ARCHITECTURE.deb of the agent that is given, and looks at what is in it.
set -eu
cd "$(dirname "$0")/.."
agent=$1
version=$(sed -n 's/^#define PICKET_VERSION "\(.*\)"/\1/p' runtime/process.h)
architecture=$(dpkg --print-architecture)
folder=build/deb
package=build/picket-agent_${version}_$architecture.deb
rm -rf $folder
install -d $folder/DEBIAN $folder/usr/bin $folder/usr/lib/systemd/system $folder/etc $folder/usr/share/doc/picket-agent
install -m 755 -s "$agent" $folder/usr/bin/picket-agent
install -m 644 packaging/picket-agent.service $folder/usr/lib/systemd/system
install -m 600 packaging/picket-agent.conf $folder/etc
install -m 644 docs/agent.md LICENSE $folder/usr/share/doc/picket-agent
echo /etc/picket-agent.conf >$folder/DEBIAN/conffiles
cat >$folder/DEBIAN/control <<CONTROL
Package: picket-agent
Version: $version
Architecture: $architecture
Maintainer: Picket <picket@localhost>
Installed-Size: $(du -sk $folder | cut -f1)
Depends: libc6 (>= 2.36), libmbedtls14, libmbedx509-1, libmbedcrypto7, ca-certificates
Section: admin
Priority: optional
Description: watches this host and tells a Picket server
 Processes, connections, logins, users, files, packages and devices, by MQTT or HTTPS, numbered so that a loss is seen.
CONTROL
cat >$folder/DEBIAN/postinst <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl enable picket-agent.service >/dev/null
    if grep -q '^connection_string' /etc/picket-agent.conf; then
        systemctl restart picket-agent.service
    else
        echo "picket-agent: set connection_string and ca_file in /etc/picket-agent.conf, then: systemctl start picket-agent"
    fi
fi
SCRIPT
cat >$folder/DEBIAN/prerm <<'SCRIPT'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl stop picket-agent.service || true
    [ "$1" != remove ] || systemctl disable picket-agent.service >/dev/null || true
fi
SCRIPT
cat >$folder/DEBIAN/postrm <<'SCRIPT'
#!/bin/sh
set -e
[ "$1" != purge ] || rm -rf /var/lib/picket-agent /var/lib/private/picket-agent
[ ! -d /run/systemd/system ] || systemctl daemon-reload
SCRIPT
chmod 755 $folder/DEBIAN/postinst $folder/DEBIAN/prerm $folder/DEBIAN/postrm
dpkg-deb --root-owner-group --build $folder "$package" >/dev/null
# What was packed, unpacked: it has to be whole, and to start.
rm -rf $folder.out && dpkg-deb -x "$package" $folder.out
dpkg-deb -c "$package" | awk '{print $1, $6}' | grep -v '/$'
$folder.out/usr/bin/picket-agent --config $folder.out/etc/picket-agent.conf --print-config | grep -q '^transport = mqtt'
echo "$package: $($folder.out/usr/bin/picket-agent --version)"
