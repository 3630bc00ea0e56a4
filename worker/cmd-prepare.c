/* SPDX-License-Identifier: Apache-2.0 */
/* worker inspect, worker prepare: one guest on disks or image files of this machine. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/secret.h"
#include "commands.h"
#include "guest/guest.h"

#define MAX_NICS 16
#define MAX_EXTENSIONS 32
#define SCRIPT_MAX (256u << 10)
#define MAX_KEYS 16
#define MAX_ADDRESSES 32
#define KEY_MAX (8u << 20) /* as cryptsetup's */

struct request {
	struct guest_options opt;
	bool json, quiet;
	struct guest_nic nics[MAX_NICS];
	struct guest_address addresses[MAX_ADDRESSES];
	struct guest_key keys[MAX_KEYS];
	int n_secrets;
	char *secrets[MAX_KEYS];
	size_t secret_len[MAX_KEYS];
	struct guest_extension extensions[MAX_EXTENSIONS];
	char *scripts[MAX_EXTENSIONS];
	char work[64];
};

/* MAC, MAC=OLD_MAC or MAC=OLD_NAME */
static int add_nic(struct request *q, const char *text, struct err *err)
{
	struct guest_nic *nic = &q->nics[q->opt.n_nics];
	const char *eq = strchr(text, '=');
	size_t n = eq ? (size_t)(eq - text) : strlen(text);

	size_t old = eq ? strlen(eq + 1) : 0;
	bool name = eq && old && old < sizeof(nic->name) && !strpbrk(eq + 1, " \t/:");

	if (q->opt.n_nics == MAX_NICS || n != 17 || (eq && !name && old != 17))
		return err_set(err, ERR_USAGE, "--nic %s: a MAC address, or NEW=OLD",
			text);
	memcpy(nic->mac, text, 17);
	if (eq)
		memcpy(name ? nic->name : nic->old_mac, eq + 1, old);
	q->opt.n_nics++;
	return 0;
}

static int add_one_key(struct request *q, const char *name, const void *secret,
	size_t len, struct err *err)
{
	struct guest_key *k = &q->keys[q->opt.n_keys];

	if (q->opt.n_keys == MAX_KEYS)
		return err_set(err, ERR_USAGE, "--key: more than %d keys", MAX_KEYS);
	*k = (struct guest_key){ .secret = secret, .len = len };
	if (*name == '/')
		k->device = name;
	else
		k->uuid = name;
	q->opt.n_keys++;
	return 0;
}

/* FILE, DEVICE=FILE or UUID=FILE. A passphrase in a text file ends before the newline; a
 * key file is what it is: so both are tried. */
static int add_key(struct request *q, char *text, struct err *err)
{
	char *eq = access(text, F_OK) ? strrchr(text, '=') : NULL, *secret;
	const char *name = eq ? text : "";
	size_t len;

	if (q->n_secrets == MAX_KEYS)
		return err_set(err, ERR_USAGE, "--key: more than %d keys", MAX_KEYS);
	if (fdio_read_file(eq ? eq + 1 : text, KEY_MAX, &secret, &len, err) < 0)
		return err_wrap(err, "--key");
	if (eq)
		*eq = '\0';
	q->secrets[q->n_secrets] = secret;
	q->secret_len[q->n_secrets++] = len;
	if (len && secret[len - 1] == '\n' &&
	    add_one_key(q, name, secret, len - 1, err) < 0)
		return -1;
	return add_one_key(q, name, secret, len, err);
}

/* NAME=dhcp or NAME=ADDRESS/PREFIX[,GATEWAY[,DNS...]] */
static int add_address(struct request *q, char *text, struct err *err)
{
	char *eq = strchr(text, '=');

	if (!eq || q->opt.n_addresses == MAX_ADDRESSES)
		return err_set(err, ERR_USAGE, "--address %s: NAME=HOW, at most %d", text,
			MAX_ADDRESSES);
	*eq = '\0';
	if (guest_address_parse(text, eq + 1, &q->addresses[q->opt.n_addresses], err) < 0)
		return -1;
	q->opt.n_addresses++;
	return 0;
}

static int set_console(struct request *q, const char *text, struct err *err)
{
	q->opt.console = !strcmp(text, "serial") ? GUEST_CONSOLE_SERIAL :
		GUEST_CONSOLE_KEEP;
	if (q->opt.console == GUEST_CONSOLE_KEEP && strcmp(text, "keep"))
		return err_set(err, ERR_USAGE, "--console %s: keep or serial", text);
	return 0;
}

static int set_edited(struct request *q, const char *text, struct err *err)
{
	static const char *const words[] = GUEST_EDITED_WORDS;

	for (unsigned i = 0; words[i]; i++)
		if (!strcmp(text, words[i])) {
			q->opt.edited = (enum guest_edited)i;
			return 0;
		}
	return err_set(err, ERR_USAGE, "--edited %s: refuse, keep or restore", text);
}

/* WHEN=FILE */
static int add_extension(struct request *q, const char *text, struct err *err)
{
	static const char *const whens[] = GUEST_WHENS;
	struct guest_extension *x = &q->extensions[q->opt.n_extensions];
	size_t len;

	for (unsigned i = 0; whens[i] && q->opt.n_extensions < MAX_EXTENSIONS; i++) {
		size_t n = strlen(whens[i]);

		if (strncmp(text, whens[i], n) || text[n] != '=')
			continue;
		if (fdio_read_file(text + n + 1, SCRIPT_MAX,
			&q->scripts[q->opt.n_extensions], &len, err) < 0)
			return err_wrap(err, "--extension");
		*x = (struct guest_extension){ (enum guest_when)i,
			q->scripts[q->opt.n_extensions],
			true };
		q->opt.n_extensions++;
		return 0;
	}
	return err_set(err, ERR_USAGE, "--extension %s: pre-mount=FILE, mounted=FILE, "
		"mounted-worker=FILE or first-boot=FILE, at most %d", text,
		MAX_EXTENSIONS);
}

static void show_step(void *ctx, const char *step, bool done, const char *detail)
{
	const struct request *q = ctx;

	if (q->quiet)
		return;
	if (done)
		fprintf(stderr, "  %-14s %6s s\n", step, detail ? detail : "");
}

/* Mounts of the guest in a namespace of our own: they are gone whatever becomes of us. */
static int isolate(struct request *q, struct err *err)
{
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, ERR_INTERNAL, "mount namespace (this needs root)");
	snprintf(q->work, sizeof(q->work), "/tmp/target-worker-XXXXXX");
	if (!mkdtemp(q->work))
		return err_sys(err, ERR_INTERNAL, "make %s", q->work);
	if (mount("tmpfs", q->work, "tmpfs", MS_NOSUID | MS_NODEV,
		"mode=700,size=16m") < 0)
		return err_sys(err, ERR_INTERNAL, "mount a tmpfs on %s", q->work);
	q->opt.work_dir = q->work;
	return 0;
}

static void leave(struct request *q)
{
	for (int i = 0; i < q->n_secrets; i++) {
		explicit_bzero(q->secrets[i], q->secret_len[i]);
		free(q->secrets[i]);
	}
	for (int i = 0; i < q->opt.n_extensions; i++)
		free(q->scripts[i]);
	if (!*q->work)
		return;
	umount2(q->work, MNT_DETACH);
	rmdir(q->work);
}

#define HELP "help" /* asked for, not an error */
static const char both_text[] =
	"  --json              the report as JSON\n"
	"  --root DEVICE       the system on this device, where the disks hold several\n"
	"  --key [WHICH=]FILE  the key of the encrypted volume WHICH (DEVICE or UUID), or of all\n"
	"  --nic MAC[=OLD]     an adapter of this machine, and the source's that it replaces\n"
	"  --help              this text\n";
static const char prepare_text[] =
	"  --dry-run           only the plan\n"
	"  --rehearse          the plan carried out on snapshots in memory (in the image)\n"
	"  --undo              take the last migration's preparation back\n"
	"  --edited HOW        with --undo, what was changed since: refuse (nothing is undone),\n"
	"                      keep or restore\n"
	"  --earlier           with --undo: that of an earlier migration, too\n"
	"  --keep-tools        leave the old hypervisor's tools in\n"
	"  --packages DIR      install the guest agent from the packages there\n"
	"  --guest-agent       install the guest agent at the first start\n"
	"  --address NAME=HOW  dhcp, or ADDRESS/PREFIX[,GATEWAY[,DNS...]], for an adapter\n"
	"  --console HOW       keep the consoles, or serial: one there, too\n"
	"  --cloud-init-anew   let cloud-init take the clone for a new machine\n"
	"  --relabel           SELinux labels everything at the first start\n"
	"  --extension WHEN=FILE  a script of yours: pre-mount, mounted, mounted-worker, first-boot\n"
	"  --tool-timeout SECONDS  for one tool of the guest (900)\n"
	"  --quiet             no lines of progress\n";

static int usage(FILE *out, const char *name, int status)
{
	bool all = !strcmp(name, "prepare");

	fprintf(out, "usage: worker %s [options] DISK...\n"
		     "  DISK                device or image file, the boot disk first\n%s%s",
		name, all ? prepare_text : "", both_text);
	return status;
}

static int parse(struct request *q, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		{ "dry-run", no_argument, NULL, 'd' }, { "undo", no_argument, NULL, 'u' },
		{ "json", no_argument, NULL, 'j' },
		{ "key", required_argument, NULL, 'k' },
		{ "nic", required_argument, NULL, 'n' },
		{ "root", required_argument, NULL, 'r' },
		{ "tool-timeout", required_argument, NULL, 'T' },
		{ "keep-tools", no_argument, NULL, 't' },
		{ "cloud-init-anew", no_argument, NULL, 'c' },
		{ "relabel", no_argument, NULL, 'l' },
		{ "address", required_argument, NULL, 'a' },
		{ "rehearse", no_argument, NULL, 'R' },
		{ "edited", required_argument, NULL, 'e' },
		{ "earlier", no_argument, NULL, 'E' },
		{ "console", required_argument, NULL, 'C' },
		{ "guest-agent", no_argument, NULL, 'g' },
		{ "packages", required_argument, NULL, 'p' },
		{ "extension", required_argument, NULL, 'x' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool inspect = q->opt.action == GUEST_INSPECT;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h')
			return err_set(err, ERR_USAGE, HELP);
		if (c == '?' || (inspect && strchr("dutclxaRCgpeE", c)) ||
			(strchr("duR", c) &&
				(q->opt.action != GUEST_APPLY || q->opt.rehearse)))
			return err_set(err, ERR_USAGE, " ");
		if (c == 'd' || c == 'u')
			q->opt.action = c == 'd' ? GUEST_DRY_RUN : GUEST_UNDO;
		q->json |= c == 'j';
		q->quiet |= c == 'q' || c == 'j';
		q->opt.cloud_init_anew |= c == 'c';
		q->opt.relabel |= c == 'l';
		q->opt.guest_agent |= c == 'g' || c == 'p';
		if (c == 'p')
			q->opt.packages = optarg;
		q->opt.rehearse |= c == 'R';
		if (c == 't')
			q->opt.remove_tools = false;
		if (c == 'r')
			q->opt.root = optarg;
		if (c == 'T' &&
		    !(q->opt.tool_timeout_s = (unsigned)strtoul(optarg, NULL, 10)))
			return err_set(err, ERR_USAGE, "--tool-timeout %s: seconds",
				optarg);
		q->opt.undo_earlier |= c == 'E';
		if (c == 'e' && set_edited(q, optarg, err) < 0)
			return -1;
		if (c == 'C' && set_console(q, optarg, err) < 0)
			return -1;
		if (c == 'k' && add_key(q, optarg, err) < 0)
			return -1;
		if (c == 'x' && add_extension(q, optarg, err) < 0)
			return -1;
		if (c == 'a' && add_address(q, optarg, err) < 0)
			return -1;
		if (c == 'n' && add_nic(q, optarg, err) < 0)
			return -1;
	}
	if (q->opt.action != GUEST_UNDO && (q->opt.edited || q->opt.undo_earlier))
		return err_set(err, ERR_USAGE, "--edited and --earlier need --undo");
	if (optind == argc)
		return err_set(err, ERR_USAGE, " ");
	q->opt.disks = (const char *const *)argv + optind;
	return 0;
}

static int guest_command(enum guest_action action, int argc, char **argv)
{
	struct request q = { .opt = { .action = action, .remove_tools = true } };
	CLEANUP_STRBUF struct strbuf report = STRBUF_INIT;
	struct err err = ERR_INIT;

	q.opt.nics = q.nics;
	q.opt.addresses = q.addresses;
	secret_lock();
	q.opt.keys = q.keys;
	q.opt.extensions = q.extensions;
	q.opt.step = show_step;
	q.opt.ctx = &q;
	if (parse(&q, argc, argv, &err) < 0) {
		if (!strcmp(err.text, HELP))
			return usage(stdout, argv[0], 0);
		if (err.code == ERR_USAGE && !strcmp(err.text, " "))
			return usage(stderr, argv[0], err_exit_status(ERR_USAGE));
	} else if (isolate(&q, &err) == 0) {
		guest_run(&q.opt, &report, &err);
	}
	if (report.len)
		cmd_print_report(report.s, report.len, q.json);
	if (err.code)
		fprintf(stderr, "worker %s: %s: %s\n(%s)\n", argv[0], err_name(err.code),
			err.text, err_hint(err.code));
	leave(&q);
	return err_exit_status(err.code);
}

int cmd_prepare(int argc, char **argv)
{
	return guest_command(GUEST_APPLY, argc, argv);
}

int cmd_inspect(int argc, char **argv)
{
	return guest_command(GUEST_INSPECT, argc, argv);
}
