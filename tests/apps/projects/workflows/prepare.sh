# A tar of one tar.gz for each processor; owned by somebody who is in no image.
for arch in amd64 arm64; do
  printf '#!/bin/sh\necho launcher for %s\n' $arch > launcher
  chmod 755 launcher
  tar --sort=name --mtime=@1700000000 --owner=1001:1001 --group=1001 -czf launcher-1.3.0-linux-$arch.tar.gz launcher
done
rm launcher
tar --mtime=@1700000000 --owner=501 --group=20 -cf launcher.tar launcher-*.tar.gz
rm launcher-*.tar.gz
