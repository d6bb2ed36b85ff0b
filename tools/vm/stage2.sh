# Stage 2, process 1 on the overlay: load modules, run the job, report, end.
V=/run/vm
B=$V/busybox
J=$V/job
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
die() { echo "vm: $*" >/dev/console; $B reboot -f; }

$B mkdir -p /dev/pts /dev/shm /run/lock /lib/modules
$B mount -t devpts devpts /dev/pts
$B mount -t tmpfs tmpfs /dev/shm
[ -e /dev/fd ] || $B ln -s /proc/self/fd /dev/fd
$B ip link set lo up
: >/etc/mtab 2>/dev/null
$B mount -o bind "$($B cat $J/modules_directory)" /lib/modules || die "no modules"

port() {
    for path in /sys/class/virtio-ports/*; do
        [ "$($B cat "$path/name")" = "$1" ] && echo "/dev/${path##*/}" && return
    done
    die "no port $1"
}
out=$(port vm.out)
err=$(port vm.err)
ctl=$(port vm.ctl)

if [ -e $J/udev ]; then
    for path in /usr/lib/systemd/systemd-udevd /lib/systemd/systemd-udevd; do
        [ -x $path ] && break
    done
    $path --daemon --resolve-names=never >/dev/null 2>&1 || die "udevd failed"
fi

for module in $($B cat $J/modules); do
    /sbin/modprobe "$module" || die "modprobe $module failed"
done

if [ -e $J/net ]; then
    for path in /sys/class/net/[!l]*; do net=${path##*/}; done
    { $B ip link set "$net" up && $B ip addr add 10.0.2.15/24 dev "$net" &&
        $B ip route add default via 10.0.2.2; } || die "no network"
fi

while read -r tag directory; do
    $B mkdir -p "$directory"
    $B mount -t 9p -o trans=virtio,version=9p2000.L,cache=mmap,msize=512000 \
        "$tag" "$directory" || die "cannot mount the share $directory"
done <$J/shares

# Each line of this script attaches one drive, by the kernel's own initiator.
if [ -e $J/attach ]; then
    . $J/attach
    n=0
    until [ "$(ls -d /sys/class/block/sr* 2>/dev/null | $B wc -l)" -ge "$drives" ] &&
        [ "$(ls -d /sys/class/scsi_generic/sg* 2>/dev/null | $B wc -l)" -ge "$drives" ]; do
        n=$((n + 1))
        [ $n -gt 600 ] && die "an attached drive did not appear"
        $B usleep 50000
    done
fi

# Drives are asked for media events, as a distribution's own rules have it.
if [ -e $J/udev ]; then
    udevadm trigger --action=add --subsystem-match=block \
        --subsystem-match=scsi_generic --subsystem-match=misc
    udevadm settle --timeout=60
    echo 2000 >/sys/module/block/parameters/events_dfl_poll_msecs
fi

# The ports are no pipes: a program may want to seek or ask what they are.
$B mkfifo $V/o $V/e
$B cat <$V/o >"$out" &
o=$!
$B cat <$V/e >"$err" &
e=$!
$B timeout -s KILL "$($B cat $J/seconds)" /bin/sh $J/run </dev/null >$V/o 2>$V/e
status=$?

# Let the pipes drain, but do not wait for what the job left running.
n=0
while [ $n -lt 50 ] && { $B kill -0 $o || $B kill -0 $e; } 2>/dev/null; do
    $B usleep 20000
    n=$((n + 1))
done
echo "exit $status" >"$ctl"

# Writable disks are put in order; bounded, because a device may be dead.
{ $B sync; $B umount -a -r -t udf,iso9660; } 2>/dev/null &
s=$!
n=0
while [ $n -lt 250 ] && $B kill -0 $s 2>/dev/null; do
    $B usleep 20000
    n=$((n + 1))
done
$B reboot -f -n
