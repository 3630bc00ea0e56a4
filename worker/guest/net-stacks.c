/* SPDX-License-Identifier: Apache-2.0 */
/* All stacks of the guest, and the files that they read. */
#include "guest/network-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

const struct net_stack *const guest_net_stacks[] = {
	&guest_ifupdown,
	&guest_ifupdown_parts,
	&guest_ifcfg,
	&guest_networkmanager,
	&guest_netplan,
	&guest_wicked,
	&guest_networkd,
	&guest_connman_config,
	&guest_connman_services,
	NULL,
};

bool guest_net_ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n > k && !strcmp(s + n - k, end);
}

void guest_net_look_keys(struct net_look *l, const char *text, const char *name_key,
	const char *mac_key)
{
	char device[64] = "", mac[32] = "";

	guest_shell_value(text, name_key, device, sizeof(device));
	guest_shell_value(text, mac_key, mac, sizeof(mac));
	l->add(l, device, mac);
}

bool guest_net_ini(const char *text, const char *section, const char *key, char *ret,
	size_t size)
{
	size_t k = strlen(key), n;
	bool in = !section;

	for (const char *p = text; *p; p += n, p += *p == '\n') {
		const char *s = p + strspn(p, " \t"), *v;

		n = strcspn(p, "\n");
		if (*s == '[' && section)
			in = !strncmp(s + 1, section, strlen(section)) &&
				s[1 + strlen(section)] == ']';
		v = s + k + (!strncmp(s, key, k) ? strspn(s + k, " \t") : 0);
		if (!in || strncmp(s, key, k) || *v != '=')
			continue;
		v += 1 + strspn(v + 1, " \t");
		n = strcspn(v, "\r\n");
		while (n && (v[n - 1] == ' ' || v[n - 1] == '\t'))
			n--;
		snprintf(ret, size, "%.*s", n < size ? (int)n : (int)size - 1, v);
		return true;
	}
	return false;
}

void guest_net_look_names(struct net_look *l, const char *names)
{
	char name[32];

	for (size_t n; *names; names += n) {
		names += strspn(names, " \t,'\"");
		n = strcspn(names, " \t\r\n,'\"");
		snprintf(name, sizeof(name), "%.*s",
			n < sizeof(name) ? (int)n : 0, names);
		if (*name)
			l->add(l, name, NULL);
	}
}

bool guest_net_leftover(const char *name)
{
	static const char *const ends[] = { "~", ".bak", ".old", ".orig", ".rpmsave",
		".rpmnew",
		".rpmorig", ".dpkg-old", ".dpkg-new", ".dpkg-dist", ".swp" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (guest_net_ends_with(name, ends[i]))
			return true;
	return name[0] == '.';
}

struct walk {
	struct guest *g;
	const struct net_stack *stack;
	const char *dir;
	int (*each)(void *ctx, const struct net_stack *s, const char *path, char *text,
		size_t len, struct err *err);
	void *ctx;
	struct err *err;
};

static int one_file(struct walk *w, const char *path)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	int got = fs_read(&w->g->root, path, GUEST_TEXT_MAX, &text, &len, w->err);

	if (got < 0) {
		/* One odd file must not stop the others from being read. */
		guest_report_warn(w->g, "%s", w->err->text);
		err_clear(w->err);
	}
	return got ? 0 :
		w->each(w->ctx, w->stack->name ? w->stack : NULL, path, text, len,
			w->err);
}

static int in_folder(void *ctx, const char *name, const struct stat *st)
{
	struct walk *w = ctx;
	char path[FS_PATH_MAX];

	if (S_ISDIR(st->st_mode) || !w->stack->mine(name) ||
		(size_t)snprintf(path, sizeof(path), "%s/%s", w->dir,
			name) >= sizeof(path))
		return 0;
	return one_file(w, path);
}

static int below_folder(void *ctx, const char *name, const struct stat *st)
{
	struct walk *w = ctx, inner = *w;
	char path[FS_PATH_MAX];

	if (!S_ISDIR(st->st_mode) ||
		(size_t)snprintf(path, sizeof(path), "%s/%s", w->dir,
			name) >= sizeof(path))
		return 0;
	inner.dir = path;
	return fs_list(&w->g->root, path, in_folder, &inner, w->err) < 0 ? -1 : 0;
}

static bool rules(const char *name)
{
	return guest_net_ends_with(name, ".rules");
}

int guest_net_files(struct guest *g, int (*each)(void *ctx, const struct net_stack *s,
	const char *path, char *text, size_t len, struct err *err), void *ctx,
	struct err *err)
{
	static const struct net_stack udev = { .dirs = { "/etc/udev/rules.d" },
		.mine = rules };
	struct walk w = { .g = g, .each = each, .ctx = ctx, .err = err };

	for (int i = 0; w.stack != &udev; i++) {
		w.stack = guest_net_stacks[i] ? guest_net_stacks[i] : &udev;
		if (w.stack->file && one_file(&w, w.stack->file) < 0)
			return -1;
		for (int k = 0; k < 2 && w.stack->dirs[k]; k++) {
			w.dir = w.stack->dirs[k];
			if (fs_list(&g->root, w.dir,
				w.stack->deep ? below_folder : in_folder, &w, err) < 0)
				return -1;
		}
	}
	return 0;
}
