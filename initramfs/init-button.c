/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI power button and power keys, as input events. */
#include <fcntl.h>
#include <linux/input.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "init-internal.h"

enum { DEVICES = 32 };

static bool has_power_key(int fd)
{
	unsigned char keys[KEY_MAX / 8 + 1] = { 0 };

	return ioctl(fd, EVIOCGBIT(EV_KEY, sizeof(keys)), keys) >= 0 &&
		keys[KEY_POWER / 8] & 1 << KEY_POWER % 8;
}

size_t button_open(int *fds, size_t max)
{
	char path[32];
	size_t n = 0;

	for (int i = 0; i < DEVICES && n < max; i++) {
		int fd;

		snprintf(path, sizeof(path), "/dev/input/event%d", i);
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (has_power_key(fd))
			fds[n++] = fd;
		else
			close(fd);
	}
	return n;
}

bool button_pressed(int fd)
{
	struct input_event ev;
	bool pressed = false;

	while (read(fd, &ev, sizeof(ev)) == sizeof(ev))
		pressed = pressed || (ev.type == EV_KEY && ev.code == KEY_POWER &&
			ev.value == 1);
	return pressed;
}
