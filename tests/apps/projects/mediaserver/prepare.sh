# An overlay as its project packs it: with setgid, sticky and links.
mkdir -p s6/command s6/usr/bin s6/run
printf '#!/bin/sh\nfor s in /etc/s6-overlay/s6-rc.d/*/run; do $s; done\nid abc; ls -ldn /config/log /defaults/settings.xml; echo "$PS1"; uname -m\n' > s6/init
printf '#!/bin/sh\nexec "$@"\n' > s6/command/with-contenv
chmod 755 s6/init s6/command/with-contenv
ln -s ../../command/with-contenv s6/usr/bin/with-contenv
ln s6/command/with-contenv s6/command/contenv
chmod 1755 s6/run
tar --sort=name --mtime=@1700000000 --owner=0 --group=0 -cJf s6-overlay-noarch.tar.xz s6
rm -r s6
