# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by the prepare-family-*.sh cases, in place of prepare-lib.bash.
#   family NAME    makes that guest, prepares it, compares with tests/data/golden/NAME what was found,
#                  planned, edited and called; prepares again (changes nothing) and takes it back
# GOLDEN=write writes the golden file instead: read its difference before it is committed.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "${BASH_SOURCE[0]}")/prepare-lib.bash"

# tree NAME: a copy of the disk's files, links as they are
tree()
{
	rm -rf "${work:?}/$1"
	within "cp -a . '$work/$1'"
}

facts()
{
	jq -r '.facts | "system \(.os.id) \(.os.version) (\(.os.name)), family \(.os.family)",
		(select(.cpu_level > 1) | "needs x86-64-v\(.cpu_level)"),
		(select(.machine_type != "q35") | "needs machine type \(.machine_type)"),
		"loader \(.loader.kind) \(.loader.config), firmware \(.firmware)",
		"init \(.init), initramfs by \(.initramfs_tool), tools \(.tools)",
		(.kernels[] | "kernel \(.version) \(.image) \(.initrd) bootable \(.bootable)",
			"  built in \(.built_in | join(" ")), in the initramfs \(.in_initrd | join(" "))")' "$work/report.json"
	jq -r '"verdict \(.verdict)", (.because[] | "because \(.)")' "$work/report.json"
}

# Texts that differ, and what went into the images.
edits()
{
	(cd "$work" && { diff -rN -U1 --no-dereference --exclude=target-worker tree.before tree.after || [ $? = 1 ]; }) |
		sed -e '/^diff /d' -e '/^Binary files/d' -e 's/^\([-+]\{3\} [^\t]*\)\t.*/\1/'
}

family()
{
	local name=$1 golden=$top/tests/data/golden/$1

	tests/data/phony-family "$name" "$work/tree"
	pack
	inspect
	[ "$status" = 0 ] || fail "$name: inspect: exit status $status, $(jq -c "{error, warnings}" "$work/report.json")"
	facts >"$work/golden"
	jq -r '.plan[] | "plan \(.step): \(.kind) \(.path // .from)"' "$work/report.json" >>"$work/golden"
	list before
	tree tree.before
	prepare
	[ "$status" = 0 ] || fail "$name: prepare: exit status $status, $(jq -c .error "$work/report.json")"
	is '.verdict == "boots" and .unsaved == []'
	tree tree.after
	edits >>"$work/golden"
	jq -r '.facts.kernels[].initrd | select(. != "")' "$work/report.json" | while read -r image; do
		echo "image $image: $(zcat "$work/tree.after$image" | cpio --quiet -t | sed -n 's|.*/\(.*\)[.]ko.*|\1|p' |
			LC_ALL=C sort | tr '\n' ' ')"
	done >>"$work/golden"
	jq -r '.warnings[] | "warning \(.)"' "$work/report.json" >>"$work/golden"
	sed -i "s/[[:space:]]*$//" "$work/golden"
	if [ "${GOLDEN:-}" = write ]; then
		cp "$work/golden" "$golden"
	fi
	diff -u "$golden" "$work/golden" >"$work/golden.log" || fail "$name: not as tests/data/golden/$name"

	list after
	prepare
	is '.verdict == "boots" and .plan == [] and .changes == []'
	list again
	same after again "$name: a second run changed something"
	prepare --undo
	[ "$status" = 0 ] || fail "$name: undo: exit status $status"
	list undone
	same before undone "$name: undo left a difference"
}
