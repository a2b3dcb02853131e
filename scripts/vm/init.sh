#!/bin/busybox sh
# The guest's first program. Makes a root out of the files it is shown, which are read-only, and memory that lies over
# them and takes what is written; then hands over to main.sh, inside that root.
set -e
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
echo "the guest has started"
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in $(cat /modules/order); do insmod "/modules/$module.ko"; done
. /command.sh

mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro host /lower
mount -t tmpfs -o mode=0755 scratch /scratch
mkdir /scratch/upper /scratch/work
mount -t overlay -o lowerdir=/lower,upperdir=/scratch/upper,workdir=/scratch/work root /new

# The repository and its packages may lie under /tmp, which is about to be covered.
seen="$ROOT"
if [ -L "/new$ROOT/node_modules" ]; then seen="$seen $(readlink "/new$ROOT/node_modules")"; fi
held=""
for place in $seen; do
  case "$place" in /tmp/*) ;; *) continue ;; esac
  mkdir -p "/hold$place"
  mount --bind "/new$place" "/hold$place"
  held="$held $place"
done
mount -t tmpfs -o mode=1777 tmp /new/tmp
mount -t tmpfs -o mode=0755 run /new/run
for place in $held; do
  mkdir -p "/new$place"
  mount --move "/hold$place" "/new$place"
done

mkdir /new/run/vm
cp /bin/busybox /main.sh /command.sh /new/run/vm
for place in dev proc sys; do mount --move "/$place" "/new/$place"; done
exec switch_root /new /run/vm/busybox sh /run/vm/main.sh
