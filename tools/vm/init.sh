#!/bin/busybox sh
# Stage 1, inside the first root: put the host's root, read-only, under a
# throw-away overlay and go on there.
B=/bin/busybox
die() { echo "vm: $*" >/dev/console; $B sync; $B reboot -f; }

$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
for module in $($B cat /mods/order); do
    $B insmod "/mods/$module" || die "insmod $module failed"
done

$B mkdir -p /lower /up /new
$B mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,msize=512000,ro root9p /lower ||
    die "the host's root cannot be mounted"
$B mount -t tmpfs -o size=80% tmpfs /up
$B mkdir /up/files /up/work
$B mount -t overlay -o lowerdir=/lower,upperdir=/up/files,workdir=/up/work overlay /new ||
    die "no overlay"
for name in proc sys dev run tmp; do $B mkdir -p "/new/$name"; done
for name in dev sys proc; do $B mount --move "/$name" "/new/$name"; done
$B mount -t tmpfs -o mode=755 tmpfs /new/run
$B mkdir /new/run/vm
$B cp -a /bin/busybox /stage2 /job /new/run/vm/
exec $B switch_root -c /dev/console /new /run/vm/busybox sh /run/vm/stage2
die "switch_root failed"
