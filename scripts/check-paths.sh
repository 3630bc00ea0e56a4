#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No path of a guest is ever a text that a system call resolves: its links would lead into the worker's
# own tree. Within the modules that work on a guest, each call of the C library that takes a path, and
# each use of the folder that a guest is mounted on, has to be one of the list below, with what it is
# that is named there; everything else goes through fs_open and the descriptors of fs/. A path that is a
# text in the source is the worker's own and needs no line, but for mounts.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

# FILE CALL(FIRST ARGUMENTS       whose path it is
allowed='
worker/fs/label.c getxattr(node            # /proc/self/fd/N, of fs_open
worker/fs/label.c setxattr(node            # the same
worker/fs/meta.c getxattr(node             # the same
worker/fs/meta.c setxattr(node             # the same
worker/fs/mount.c umount2(self             # /proc/self/fd/N, of fsmount
worker/fs/mount.c open(dev                 # a device of this machine
worker/fs/root.c readlink(proc             # /proc/self/fd/N
worker/fs/root.c open(at                   # the worker'\''s own folder
worker/fs/snapshot.c block_loop_attach(path # /proc/self/fd/N
worker/fs/snapshot.c open(dev              # a device of this machine
worker/fs/stack-lvm.c openat(dev           # /dev, a name of LVM'\''s alphabet
worker/fs/stack-md.c fdio_read_file(path   # /sys/block/mdN
worker/fs/stack-md.c open(path             # /sys/block/mdN
worker/fs/stack.c open(kinds               # a table of texts
worker/fs/stack.c access(kinds             # the same
worker/fs/stack.c open(c->report           # /proc/PID/fd/N
worker/fs/stack.c fdio_read_file(c.report # the same
worker/guest/extensions.c open(path        # the work folder
worker/guest/extensions.c unlink(path      # the same
worker/guest/firmware.c open(node         # a disk of this machine
worker/guest/guest.c realpath(g->opt->work_dir # the work folder
worker/guest/guest.c mkdir(g->at           # a folder in it
worker/guest/guest.c rmdir(g->at           # the same
worker/guest/layout.c realpath(node        # a device of this machine
worker/guest/layout.c opendir(dir          # /sys/class/block
worker/guest/layout.c fopen(path           # the same
worker/guest/layout.c stat(g->opt->disks   # a disk of the job
worker/guest/layout.c block_loop_attach(g->opt->disks # the same
worker/guest/network.c fopen(path          # /sys/class/net
worker/guest/network.c realpath(path       # the same
worker/guest/packages.c opendir(dir        # the operator'\''s packages
worker/guest/packages.c stat(from          # the same
worker/guest/packages.c block_loop_attach(from # the same
worker/guest/packages.c mkdir(top          # the work folder
worker/guest/packages.c open(top           # the same
worker/guest/packages.c rmdir(top          # the same
worker/guest/packages.c rmdir(p->mounted   # the same
worker/guest/rehearse.c stat(disk          # a disk of the job
worker/guest/rehearse.c block_loop_attach(disk # the same
worker/guest/rehearse.c block_loop_attach(s->snap # a device of this machine
worker/guest/systems.c open(g->at          # the folder in the work folder
worker/guest/tree.c open(g->at             # the same
worker/guest/virtio.c opendir(pci          # /sys/bus/pci
worker/guest/virtio.c openat(dir           # the same
worker/boot/nvram.c mount(NULL, EFIVARS    # a folder of this machine
worker/boot/nvram.c statvfs(EFIVARS        # the same
'
# Files in which the child makes its own view of the guest, in a namespace of its own.
cells='worker/guest/(contain|cell)[a-z-]*\.c'
# The folder that a guest is mounted on, as a text: who may have it.
holders='worker/(fs/(root\.c|fs\.h)|guest/(guest|tree|systems|extensions|guest-internal)\.[ch])'

calls='mount|umount2?|chroot|pivot_root|symlink|link|rename|unlink|open|creat|stat|lstat|mkdir|rmdir|mknod|opendir'
calls+='|access|chdir|statfs|statvfs|readlink|realpath|fopen|truncate|chmod|chown|lchown|utimes|remove|mkdtemp'
calls+='|scandir|nftw|l?[gs]etxattr|fdio_read_file|fdio_replace_file|block_loop_attach|execv|execve'
bad=0
while IFS=: read -r file line text; do
	[[ $file =~ ^$cells$ ]] && continue
	while read -r call; do
		# Of a path in the source nothing is asked.
		[[ $call =~ ^[a-z_0-9]+\(\" && ! $call =~ ^(mount|umount2?)\( ]] && continue
		known=
		while read -r ok _; do
			[ -n "$ok" ] && [[ $ok == "$file" ]] && known=1
		done < <(grep -F "$file " <<<"$allowed" | sed 's/ *#.*//' | while read -r f arg; do
			[[ $call == "$arg"* ]] && echo "$f"
		done)
		[ -n "$known" ] || { echo "$file:$line: $call: whose path is it? (see scripts/check-paths.sh)"; bad=1; }
	done < <(grep -oE "(^|[^a-z_A-Z0-9>.])($calls)\([^;]*" <<<"$text" | sed -E "s/^[^a-z_]//")
done < <(git ls-files -co --exclude-standard 'worker/fs/*.c' 'worker/guest/*.c' 'worker/boot/*.c' \
	'worker/initrd/*.c' 'worker/hive/*.c' | sort -u | xargs -r grep -HnE "(^|[^a-z_A-Z0-9>.])($calls)\(" |
	grep -vE '^[^:]*:[0-9]*:[[:space:]]*(/?\*|//)|^[^:]*:[0-9]*:(int|bool|static|void|char|struct)\b')
while IFS=: read -r file line text; do
	[[ $file =~ ^$cells$ || $file =~ ^$holders$ ]] ||
		{ echo "$file:$line: the folder of the guest as a text: $text"; bad=1; }
done < <(grep -rnE '\b(g|guest|root|r)(->|\.)(root\.)?at\b' worker/fs worker/guest worker/boot worker/initrd \
	--include='*.c' | grep -vE 'g->packages\.at|st->at|r->at, &r->l|\bat\b *[+]')
# A text that puts something behind that folder.
while IFS= read -r hit; do
	echo "$hit: a path of the guest as a text"
	bad=1
done < <(grep -rnE '(snprintf|strbuf_fmt|strbuf_str)\(.*"[^"]*%s[^"]*%s[^"]*".*\b(g|guest|root|r)(->|\.)(root\.)?at\b' \
	worker --include='*.c')
exit $bad
