/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for people, on every console the kernel uses: a VM may show a screen, a serial
 * port, a hypervisor console, or nothing. Serial outputs get lines; the screen gets one
 * static picture with the last lines in it. Nothing here may block: a serial port that
 * nobody reads loses lines, never the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init-internal.h"

enum { CONSOLES = 6, QUEUE = 16384, LINES = 14, LINE = 160, SCREEN = 4096 };

struct console {
	int fd;
	bool screen;
	char name[16];
	char queue[QUEUE];
	size_t queued;
	unsigned dropped; /* lines lost since the queue was full */
};

static struct console consoles[CONSOLES];
static size_t n_consoles;
static char lines[LINES][LINE]; /* ring of the last lines */
static unsigned next_line;
static char status[LINE] = "starting";
static char problem[LINE];
static const char *footer =
	"Do not reset or switch off this machine: its disks are being written.";
static bool dirty = true;
static double drawn;
static int kmsg = -1;

static void open_one(const char *name)
{
	struct console *c = &consoles[n_consoles];
	char path[32];

	if (n_consoles == CONSOLES || strlen(name) >= sizeof(c->name))
		return;
	/* tty0 is whatever terminal is in front; the picture belongs on the first one. */
	c->screen = strcmp(name, "tty0") == 0;
	snprintf(path, sizeof(path), "/dev/%s", c->screen ? "tty1" : name);
	c->fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (c->fd < 0)
		return;
	strcpy(c->name, name);
	n_consoles++;
}

void console_open_all(void)
{
	char list[1024], *save, *line;

	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (file_read("/proc/consoles", list, sizeof(list)) == 0) {
		for (line = strtok_r(list, "\n", &save); line;
		    line = strtok_r(NULL, "\n", &save)) {
			line[strcspn(line, " ")] = '\0';
			open_one(line);
		}
	}
	if (n_consoles == 0)
		open_one("console");
}

const char *console_serial(void)
{
	for (size_t i = 0; i < n_consoles; i++)
		if (!consoles[i].screen)
			return consoles[i].name;
	return NULL;
}

static void send_queue(struct console *c)
{
	ssize_t n = write(c->fd, c->queue, c->queued);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		n = c->queued; /* a dead port: its text goes nowhere */
	if (n <= 0)
		return;
	c->queued -= n;
	memmove(c->queue, c->queue + n, c->queued);
}

static void queue_text(struct console *c, const char *text, size_t len)
{
	char note[48];
	size_t room = QUEUE - c->queued;

	if (c->dropped && room > len + sizeof(note)) {
		c->queued += snprintf(c->queue + c->queued, room, "(%u lines lost)\n",
			c->dropped);
		room = QUEUE - c->queued;
		c->dropped = 0;
	}
	if (len > room) {
		c->dropped++;
		return;
	}
	memcpy(c->queue + c->queued, text, len);
	c->queued += len;
	send_queue(c);
}

void console_line(const char *line)
{
	char text[640];
	int n;

	snprintf(text, sizeof(text) - 1, "%s", line);
	text_sanitise(text);
	snprintf(lines[next_line++ % LINES], LINE, "%.*s", LINE - 1, text);
	n = strlen(text);
	text[n++] = '\n';
	for (size_t i = 0; i < n_consoles; i++)
		if (!consoles[i].screen)
			queue_text(&consoles[i], text, n);
	dirty = true;
}

void console_status(const char *text)
{
	snprintf(status, sizeof(status), "%.*s", LINE - 1, text);
	dirty = true;
}

void console_problem(const char *text)
{
	snprintf(problem, sizeof(problem), "%.*s", LINE - 1, text);
	dirty = true;
}

void console_safe(void)
{
	footer = "This machine may be switched off now.";
	dirty = true;
}

/* "10.0.2.15 fe80::1" of all interfaces but the loopback. */
static void addresses(char *ret, size_t size)
{
	struct ifaddrs *all, *a;
	char host[NI_MAXHOST];
	size_t len = 0;

	ret[0] = '\0';
	if (getifaddrs(&all) < 0)
		return;
	for (a = all; a; a = a->ifa_next) {
		socklen_t sl = sizeof(struct sockaddr_in);

		if (!a->ifa_addr || a->ifa_flags & IFF_LOOPBACK)
			continue;
		if (a->ifa_addr->sa_family == AF_INET6)
			sl = sizeof(struct sockaddr_in6);
		else if (a->ifa_addr->sa_family != AF_INET)
			continue;
		if (getnameinfo(a->ifa_addr, sl, host, sizeof(host), NULL, 0,
				NI_NUMERICHOST) == 0 && len + strlen(host) + 2 < size)
			len += snprintf(ret + len, size - len, "%s%s",
				len ? " " : "", host);
	}
	freeifaddrs(all);
}

/* Appends one row, cut to the width of the screen, and clears the rest of it. */
static size_t row(char *buf, size_t at, unsigned cols, const char *label,
	const char *text)
{
	char line[256];

	snprintf(line, sizeof(line), " %s%s", label, text);
	return at + snprintf(buf + at, SCREEN - at, "%.*s\033[K\n", (int)cols - 1, line);
}

static void draw(struct console *c, double now)
{
	char buf[SCREEN], text[200];
	struct winsize ws = { .ws_row = 25, .ws_col = 80 };
	unsigned up = now, shown = LINES;
	size_t at;

	ioctl(c->fd, TIOCGWINSZ, &ws);
	if (ws.ws_col < 20 || ws.ws_col > 200)
		ws.ws_col = 80;
	if (ws.ws_row < 12)
		ws.ws_row = 12;
	if (shown > ws.ws_row - 10u)
		shown = ws.ws_row - 10;
	at = snprintf(buf, sizeof(buf), "\033[?25l\033[H");
	snprintf(text, sizeof(text), "%s    up %02u:%02u:%02u", TW_VERSION, up / 3600,
		up / 60 % 60, up % 60);
	at = row(buf, at, ws.ws_col, "target-worker ", text);
	at = row(buf, at, ws.ws_col, "", "");
	at = row(buf, at, ws.ws_col, "Status:   ", status);
	addresses(text, sizeof(text));
	at = row(buf, at, ws.ws_col, "Address:  ", text[0] ? text : "none yet");
	at = row(buf, at, ws.ws_col, "Problem:  ", problem[0] ? problem : "none");
	at = row(buf, at, ws.ws_col, "", "");
	for (unsigned i = next_line > shown ? next_line - shown : 0; i != next_line; i++)
		at = row(buf, at, ws.ws_col, "", lines[i % LINES]);
	at = row(buf, at, ws.ws_col, "", "");
	at = row(buf, at, ws.ws_col, "", footer);
	at += snprintf(buf + at, SCREEN - at, "\033[J");
	if (c->queued == 0) /* a screen that does not take text yet keeps
			     * the old picture */
		queue_text(c, buf, at < SCREEN ? at : SCREEN - 1);
}

void console_refresh(double now)
{
	if (now - drawn < (dirty ? 0.5 : 10))
		return;
	for (size_t i = 0; i < n_consoles; i++)
		if (consoles[i].screen)
			draw(&consoles[i], now);
	drawn = now;
	dirty = false;
}

size_t console_poll_fds(struct pollfd *fds, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < n_consoles && n < max; i++)
		if (consoles[i].queued)
			fds[n++] = (struct pollfd){ .fd = consoles[i].fd,
				.events = POLLOUT };
	return n;
}

void console_flush(void)
{
	for (size_t i = 0; i < n_consoles; i++)
		if (consoles[i].queued)
			send_queue(&consoles[i]);
}

void console_drain(unsigned ms)
{
	double end = now_s() + ms / 1000.0;
	struct pollfd fds[CONSOLES];
	size_t n;

	console_refresh(now_s() + 1);
	while ((n = console_poll_fds(fds, CONSOLES)) > 0 && now_s() < end) {
		poll(fds, n, 100);
		console_flush();
	}
}

/* Kernel log at level info: kept there, but not printed a second time by the kernel. */
void say(const char *fmt, ...)
{
	char text[512], record[560];
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_sanitise(text);
	if (kmsg >= 0) {
		n = snprintf(record, sizeof(record), "<6>tw: %s", text);
		if (write(kmsg, record, n) < 0)
			kmsg = -1;
	}
	console_line(text);
}

void panic(const char *what)
{
	int sys = errno;
	char text[160];
	int n = snprintf(text, sizeof(text), "init: %s: %s; power-off in 10 seconds\n",
		what, strerror(sys));

	if (n_consoles == 0)
		(void)!write(STDERR_FILENO, text, n); /* the kernel's own /dev/console */
	text[n - 1] = '\0';
	console_problem(text);
	say("%s", text);
	console_drain(1000);
	sleep(10);
	shutdown_run(VERB_POWEROFF, &(struct options){ 0 }, 0);
}
