#!/bin/busybox sh
# First program of the machine: reaches the host's files over 9p, lays memory over them and runs /cmd there.
/bin/busybox mkdir -p /usr/bin /usr/sbin /sbin
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /mod/*; do insmod "$module"; done
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose root /lower || exec sh
mount -t tmpfs -o size=75% tmpfs /rw
mkdir /rw/u /rw/w
mount -t overlay -o lowerdir=/lower,upperdir=/rw/u,workdir=/rw/w,metacopy=off overlay /new
. /vars
for folder in dev proc sys; do mount -o move /$folder /new/$folder; done
mkdir -p /new/dev/pts /new/dev/shm /new/run /new/tmp /new/usr/lib/modules
mount -t devpts devpts /new/dev/pts
mount -t tmpfs tmpfs /new/dev/shm
mount -t tmpfs tmpfs /new/run
mount -t tmpfs tmpfs /new/tmp
ln -sfn "$KERNEL/lib/modules/$VERSION" "/new/usr/lib/modules/$VERSION"
cp /cmd /new/run/cmd
exec switch_root /new /bin/sh -c '
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
  ip link set lo up
  hostname vm
  [ -e /dev/net/tun ] || { mkdir -p /dev/net; mknod /dev/net/tun c 10 200; }
  echo VM-UP
  setsid sh /run/cmd </dev/null
  echo "VM-EXIT $?"
  sync
  echo o >/proc/sysrq-trigger
  sleep 100'
