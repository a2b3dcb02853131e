# The guest's process 1 once it has its root: what systemd would be. Sets up the cgroups, runs the command in one of its
# own, says what became of it and switches the machine off.
box() { /run/vm/busybox "$@"; }
. /run/vm/command.sh
CGROUP=/sys/fs/cgroup
SERVICE=$CGROUP/mister-smith.service

box mkdir -p /dev/pts /dev/shm
box mount -t devpts -o mode=0620,ptmxmode=0666 devpts /dev/pts
box mount -t tmpfs -o mode=1777 shm /dev/shm
box ln -sf /proc/self/fd /dev/fd
for n in 0:stdin 1:stdout 2:stderr; do box ln -sf "/proc/self/fd/${n%%:*}" "/dev/${n#*:}"; done
box hostname "$HOSTNAME"
box ifconfig lo 127.0.0.1 up

# As systemd does it: itself in init.scope, every controller for the services, and the service's own files given away.
box mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 $CGROUP
box mkdir $CGROUP/init.scope $SERVICE
echo 1 >$CGROUP/init.scope/cgroup.procs
for controller in $(box cat $CGROUP/cgroup.controllers); do echo "+$controller" >$CGROUP/cgroup.subtree_control; done
become=""
if [ -n "$UNPRIVILEGED" ]; then
  box grep -q '^smith:' /etc/passwd || echo 'smith:x:1000:1000::/home/smith:/bin/sh' >>/etc/passwd
  box grep -q '^smith:' /etc/group || echo 'smith:x:1000:' >>/etc/group
  box mkdir -p /home/smith
  box chown 1000:1000 /home/smith $SERVICE
  for file in $(box cat /sys/kernel/cgroup/delegate); do
    case $file in cgroup.*) [ -e "$SERVICE/$file" ] && box chown 1000:1000 "$SERVICE/$file" ;; esac
  done
  # It may write where a person may in a checkout of their own. Only folders are given away: a file would be copied first.
  box find "$ROOT" -name node_modules -prune -o -type d -exec /run/vm/busybox chown 1000:1000 {} +
  if [ -d "$ROOT/node_modules" ]; then
    box chown 1000:1000 "$ROOT/node_modules/."
    for cache in "$ROOT"/node_modules/.vite*; do [ -e "$cache" ] && box chown -R 1000:1000 "$cache"; done
  fi
  become="/usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups"
fi

for port in /sys/class/virtio-ports/*; do
  read -r name <"$port/name"
  eval "$name=/dev/${port##*/}"
done
# The command writes into pipes: the ports can be opened only once, and a pipe is what a service has.
box mkfifo /run/vm/stdout /run/vm/stderr
box cat /run/vm/stdout >"$stdout" & out=$!
box cat /run/vm/stderr >"$stderr" & err=$!

(
  exec </dev/null >/run/vm/stdout 2>/run/vm/stderr
  ulimit -Hn 524288
  ulimit -Sn 1024
  cd "$ROOT" || exit 125
  echo 0 >$SERVICE/cgroup.procs
  command /run/vm/busybox setsid $become
) &
wait $!
code=$?

# Whoever is left holds the pipes open, so that the relays would never end.
left=""
for pid in $(box find $SERVICE -name cgroup.procs -exec /run/vm/busybox cat {} +); do
  left="$left $pid ($(box tr '\0' ' ' <"/proc/$pid/cmdline" | box cut -c1-80))"
done
echo 1 >$SERVICE/cgroup.kill
wait $out $err
{ echo "exit $code"; [ -z "$left" ] || echo "left$left"; } >"$verdict"
box poweroff -f
