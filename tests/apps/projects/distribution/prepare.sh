# A root file system for each processor, as tar makes it: a hard link before its target, a device, odd owners.
for arch in amd64 arm64; do
  mkdir root
  tar -C root -xf "$BASES/busybox-$arch.tar" --no-same-owner
  echo target > root/z-target
  ln root/z-target root/a-link
  mkdir -p root/opt/names && touch "root/opt/names/with space" root/opt/names/ümlaut
  ln -s /absolute/nowhere root/opt/dangling
  chmod 2755 root/opt/names
  tar -C root --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -cJf rootfs-$arch.tar.xz .
  rm -rf root
done
mkdir overlay && echo x > overlay/b && ln overlay/b overlay/a
tar -C overlay --mtime=@1700000000 --owner=77:77 --group=77 -czf overlay.tar.gz b a
rm -r overlay
