/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The removable-media path of UEFI 2.10 section 3.5.1.1. A Secure Boot chain is kept:
 * shim takes the fallback's place and finds GRUB beside it under the name it was built
 * with.
 */
#include "boot/boot-internal.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/fdio.h"

static const struct {
	const char *suffix, *fallback;
	unsigned machine; /* of the PE header */
} archs[] = {
	{ "x64", "BOOTX64.EFI", 0x8664 },
	{ "aa64", "BOOTAA64.EFI", 0xaa64 },
	{ "ia32", "BOOTIA32.EFI", 0x14c },
};
#define N_ARCHS (sizeof(archs) / sizeof(archs[0]))

/* What a vendor folder holds, by role. Names differ in case
 * between tools that wrote them. */
struct vendor {
	char dir[128]; /* "/boot/efi/EFI/debian" */
	char name[64]; /* "debian" */
	char shim[64], grub[64], mok[64], stub[64], plain_grub[64], config[64];
	char unified[128]; /* the newest kernel that is its own loader */
};

struct search {
	const struct fs_root *r;
	const char *efi;  /* "/boot/efi/EFI" */
	const char *arch;
	unsigned machine;
	struct vendor best, current;
	int best_score;
	bool fallback;
	const char *fallback_name;
	struct err *err;
};

static void keep(char *to, size_t size, const char *name)
{
	if (!*to)
		snprintf(to, size, "%s", name);
}

static bool is_for(const struct search *s, const char *name)
{
	char path[FS_PATH_MAX];
	uint8_t at[4], pe[6];
	CLEANUP_CLOSE int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", s->current.dir, name);
	fd = fs_open(s->r, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	return fd >= 0 && fdio_pread(fd, at, sizeof(at), 0x3c) == 0 &&
		fdio_pread(fd, pe, sizeof(pe), bytes_le32(at)) == 0 &&
		!memcmp(pe, "PE\0", 4) && bytes_le16(pe + 4) == s->machine;
}

/* In EFI/Linux. */
static int look_kernel(void *ctx, const char *name, const struct stat *st)
{
	struct search *s = ctx;
	struct vendor *v = &s->current;
	size_t n = strlen(name);

	if (S_ISREG(st->st_mode) && n > 4 && n < sizeof(v->unified) &&
		!strcasecmp(name + n - 4, ".efi") && (!*v->unified ||
			strverscmp(name, v->unified) > 0) && is_for(s, name))
		memcpy(v->unified, name, n + 1);
	return 0;
}

static int look_file(void *ctx, const char *name, const struct stat *st)
{
	struct search *s = ctx;
	struct vendor *v = &s->current;
	char want[64];

	if (!S_ISREG(st->st_mode) || strlen(name) >= sizeof(v->shim))
		return 0;
#define IS(fmt) (snprintf(want, sizeof(want), fmt, s->arch), !strcasecmp(name, want))
	if (IS("shim%s.efi"))
		keep(v->shim, sizeof(v->shim), name);
	else if (IS("grub%s.efi"))
		keep(v->grub, sizeof(v->grub), name);
	else if (IS("mm%s.efi"))
		keep(v->mok, sizeof(v->mok), name);
	else if (IS("systemd-boot%s.efi"))
		keep(v->stub, sizeof(v->stub), name);
#undef IS
	else if (!strcasecmp(name, "grub.efi"))
		keep(v->plain_grub, sizeof(v->plain_grub), name);
	else if (!strcasecmp(name, "shim.efi"))
		keep(v->shim, sizeof(v->shim), name);
	else if (!strcasecmp(name, "MokManager.efi"))
		keep(v->mok, sizeof(v->mok), name);
	else if (!strcasecmp(name, "grub.cfg"))
		keep(v->config, sizeof(v->config), name);
	return 0;
}

static int score(const struct vendor *v)
{
	bool grub = v->grub[0] || v->plain_grub[0];

	return v->shim[0] && grub ? 4 : grub ? 3 : v->stub[0] ? 2 : v->unified[0] ? 1 : 0;
}

static int look_fallback(void *ctx, const char *name, const struct stat *st)
{
	struct search *s = ctx;

	if (S_ISREG(st->st_mode) && st->st_size > 0 &&
	    !strcasecmp(name, s->fallback_name))
		s->fallback = true;
	return 0;
}

static int look_vendor(void *ctx, const char *name, const struct stat *st)
{
	struct search *s = ctx;

	if (!S_ISDIR(st->st_mode) || strlen(name) >= sizeof(s->current.name))
		return 0;
	memset(&s->current, 0, sizeof(s->current));
	snprintf(s->current.name, sizeof(s->current.name), "%s", name);
	snprintf(s->current.dir, sizeof(s->current.dir), "%s/%s", s->efi, name);
	if (!strcasecmp(name, "BOOT"))
		return fs_list(s->r, s->current.dir, look_fallback, s, s->err) < 0 ? -1 :
			0;
	if (!strcasecmp(name, "Microsoft"))
		return 0;
	if (fs_list(s->r, s->current.dir,
		strcasecmp(name, "Linux") ? look_file : look_kernel, s, s->err) < 0)
		return -1;
	if (score(&s->current) > s->best_score) {
		s->best_score = score(&s->current);
		s->best = s->current;
	}
	return 0;
}

static void copy(struct boot_copy *ret, int max, int *n, const struct search *s,
	const char *from, const char *to)
{
	if (!*from || *n == max)
		return;
	snprintf(ret[*n].from, sizeof(ret[*n].from), "%s/%s", s->best.dir, from);
	snprintf(ret[*n].to, sizeof(ret[*n].to), "%s/BOOT/%s", s->efi, to);
	(*n)++;
}

int boot_efi_fallback(const struct fs_root *r, const char *esp, struct boot_copy *ret,
	int max, char *ret_loader, size_t size, struct err *err)
{
	char efi[80];

	snprintf(efi, sizeof(efi), "%s/EFI", esp);
	*ret_loader = '\0';
	for (size_t i = 0; i < N_ARCHS; i++) {
		struct search s = { .r = r, .efi = efi, .arch = archs[i].suffix,
			.err = err,
			.fallback_name = archs[i].fallback, .machine = archs[i].machine };
		const struct vendor *v = &s.best;
		const char *first;
		int n = 0;

		if (fs_list(r, efi, look_vendor, &s, err) < 0)
			return -1;
		first = v->shim[0] ? v->shim : v->grub[0] ? v->grub :
			v->plain_grub[0] ? v->plain_grub : v->stub[0] ? v->stub :
				v->unified;
		if (s.best_score)
			snprintf(ret_loader, size, "\\EFI\\%s\\%s", v->name, first);
		else if (s.fallback)
			snprintf(ret_loader, size, "\\EFI\\BOOT\\%s", archs[i].fallback);
		if (s.fallback)
			return 0;
		if (!s.best_score)
			continue;
		/* What the loader starts comes first:
		 * an interrupted run leaves no half chain. */
		if (v->shim[0]) {
			copy(ret, max, &n, &s, v->grub, v->grub);
			copy(ret, max, &n, &s, v->plain_grub, v->plain_grub);
			copy(ret, max, &n, &s, v->mok, v->mok);
		}
		copy(ret, max, &n, &s, v->config, v->config);
		copy(ret, max, &n, &s, first, archs[i].fallback);
		return n;
	}
	return err_set(err, ERR_PREP_LOADER, "%s: no loader for the EFI system partition",
		efi);
}
