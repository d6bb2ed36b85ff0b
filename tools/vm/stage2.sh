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

for module in $($B cat $J/modules); do
    /sbin/modprobe "$module" || die "modprobe $module failed"
done

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
