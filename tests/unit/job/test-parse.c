/* SPDX-License-Identifier: Apache-2.0 */
/* The job document: every key is read, every mistake is named with its full path. */
#include "tests/unit/test.h"

#include "job/job-internal.h"

#define PIN "sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static const char whole[] =
	"{\"version\": 1, \"migration\": \"m-2041\", \"mode\": \"delta\","
	" \"controller\": {\"url\": \"https://10.0.2.2:8443/v1\", \"token\": \"t0k3n\","
	"   \"pins\": [\"" PIN "\"]},"
	" \"network\": [{\"mac\": \"52-54-00-12-34-AB\", \"dhcp\": true, \"slaac\": true},"
	"   {\"mac\": \"52:54:00:12:34:57\", \"address\": \"10.1.0.5/24\","
	"    \"gateway\": \"10.1.0.1\", \"address6\": \"2001:db8::5/64\","
	"    \"gateway6\": \"fe80::1\", \"dns\": [\"10.1.0.2\", \"2001:db8::2\"],"
	"    \"mtu\": 1400, \"timeout_s\": 30}],"
	" \"source\": {\"url\": \"tws://10.0.2.2:5994\", \"connections\": 4, \"stall_s\": 30,"
	"   \"bad_ranges_max\": \"64K\","
	"   \"psk\": \"tw:00112233445566778899aabbccddeeff\", \"allow_plain\": false},"
	" \"drives\": [{\"source\": \"sda\", \"target\": {\"serial\": \"TW0\"},"
	"    \"target_state\": \"pristine\", \"target_zero\": true},"
	"   {\"source\": \"sdb\", \"target\": {\"wwn\": \"0x5000c500a1b2c3d4\"},"
	"    \"target_state\": \"booted\"},"
	"   {\"source\": \"sdc\", \"target\": {\"path\": \"pci-0000:00:05.0\"}},"
	"   {\"source\": \"sdd\", \"target\": {\"device\": \"/tmp/x\"}},"
	"   {\"source\": \"sde\", \"target\": {\"size_exact\": true}}],"
	" \"verify\": \"full\", \"bandwidth\": \"200M\","
	" \"prepare\": {\"guest\": \"/dev/sda2\", \"remove_tools\": false, \"nvram\": false,"
	"   \"network\": {\"00:50:56:00:00:01\": \"52:54:00:12:34:56\"},"
	"   \"keys\": [\"first\", \"second\", {\"uuid\": \"1-2\", \"key_base64\": \"AAH/\"}],"
	"   \"virtio_win\": {\"serial\": \"VW\"}, \"tool_timeout_s\": 120,"
	"   \"console\": \"serial\", \"guest_agent\": \"install\","
	"   \"packages\": {\"serial\": \"PK\"}},"
	" \"extensions\": [{\"when\": \"mounted\", \"run\": \"#!/bin/sh\\ntrue\\n\","
	"   \"fatal\": false}],"
	" \"finish\": \"hold\", \"on_error\": \"reboot\", \"report_deadline_s\": 60}";

/* The smallest documents of each kind, and what a case puts into them. */
#define HEAD "{\"version\":1,\"migration\":\"m\""
#define SOURCE ",\"source\":{\"url\":\"nbd://h\"}"
#define DRIVES ",\"drives\":[{\"source\":\"a\",\"target\":{\"serial\":\"S\"}}]"
#define TRACKED(mode, url, keys) HEAD ",\"mode\":\"" mode "\",\"source\":{\"url\":\"" url \
	"\"},\"drives\":[{\"source\":\"a\",\"target\":{\"serial\":\"S\"}," keys "}]}"
#define FULL COPY SOURCE DRIVES
#define DISKS ",\"drives\":[{\"target\":{\"serial\":\"S\"}}]"
#define COPY HEAD ",\"mode\":\"full\""
#define PREP HEAD ",\"mode\":\"prepare\"" DISKS
#define ONE_DRIVE(x) COPY SOURCE ",\"drives\":[" x "]}"
#define TARGET(x) ONE_DRIVE("{\"source\":\"a\",\"target\":{" x "}}")
#define PREPARE(x) FULL ",\"prepare\":{" x "}}"
#define CTL(x) FULL ",\"controller\":{" x "}}"
#define NET(x) FULL ",\"network\":[" x "]}"

static const struct {
	const char *text;
	const char *error; /* prefix of the message; NULL = accepted */
} cases[] = {
	{ FULL "}", NULL },
	{ PREP "}", NULL },
	{ FULL ",\"prepare\":false}", NULL },
	{ FULL ",\"prepare\":{}}", NULL },
	{ FULL ",\"bandwidth\":1048576}", NULL },
	{ NET("{\"dhcp\":true}"), NULL },
	{ "", "job: not JSON" },
	{ "{", "job: not JSON" },
	{ "[]", "job: must be an object, not an array" },
	{ "null", "job: must be an object, not null" },
	{ "{}", "version: missing" },
	{ FULL "} x", "job: not JSON" },
	{ FULL ",}", "job: not JSON" },
	{ FULL ",/* c */\"verify\":\"none\"}", "job: not JSON" },
	{ FULL ",\"verify\":NaN}", "job: not JSON" },
	{ FULL ",\"colour\":1}", "colour: unknown key" },
	{ FULL ",\"Mode\":\"full\"}", "Mode: unknown key" },
	{ FULL ",\"a\\nb\":1}", "a?b: unknown key" },
	{ FULL ",\"mode\":\"full\"}", "mode: given twice" },
	{ "{\"version\":2}", "version: must be 1" },
	{ "{\"version\":\"1\"}", "version: must be 1" },
	{ "{\"version\":1,\"mode\":\"full\"}", "migration: missing" },
	{ "{\"version\":1,\"migration\":\"a b\"}", "migration: may hold only" },
	{ "{\"version\":1,\"migration\":\"\"}", "migration: must not be empty" },
	{ "{\"version\":1,\"migration\":[]}",
		"migration: must be a string, not an array" },
	{ HEAD "}", "mode: missing" },
	{ HEAD ",\"mode\":\"both\"}",
		"mode: \"both\" is not one of: full, delta, prepare" },
	{ HEAD ",\"mode\":1}", "mode: must be a string, not a number" },
	{ COPY DRIVES "}", "source: missing" },
	{ COPY SOURCE "}", "drives: missing" },
	{ COPY SOURCE ",\"drives\":[]}", "drives: needs at least one" },
	{ COPY SOURCE ",\"drives\":{}}", "drives: must be an array" },
	{ ONE_DRIVE("1"), "drives[0]: must be an object" },
	{ ONE_DRIVE("{\"source\":\"a\"}"), "drives[0].target: missing" },
	{ ONE_DRIVE("{\"target\":{\"serial\":\"S\"}}"), "drives[0].source: missing" },
	{ TARGET(""), "drives[0].target: needs exactly one" },
	{ TARGET("\"serial\":\"S\",\"wwn\":\"W\""),
		"drives[0].target: needs exactly one" },
	{ TARGET("\"serial\":7"),
		"drives[0].target.serial: must be a string, not a number" },
	{ ONE_DRIVE("{\"source\":\"a\",\"target\":{\"serial\":\"S\"}},"
		    "{\"source\":\"b\",\"target\":{\"sreial\":\"T\"}}"),
		"drives[1].target.sreial: unknown key" },
	{ ONE_DRIVE("{\"source\":\"a\",\"target\":{\"serial\":\"S\"}},"
		    "{\"source\":\"b\",\"target\":{\"serial\":\"S\"}}"),
		"drives[1].target: is that of drives[0] too" },
	{ ONE_DRIVE("{\"source\":\"a\",\"target\":{\"serial\":\"S\"}},"
		    "{\"source\":\"a\",\"target\":{\"serial\":\"T\"}}"),
		"drives[1].source: is that of drives[0] too" },
	{ TARGET("\"size_exact\":false"),
		"drives[0].target.size_exact: may only be true" },
	{ TARGET("\"device\":\"sda\""),
		"drives[0].target.device: must be an absolute path" },
	{ ONE_DRIVE("{\"source\":\"a\",\"target\":{\"serial\":\"S\"},\"target_zero\":true}"),
		"drives[0].target_zero: needs target_state" },
	{ ONE_DRIVE("{\"source\":\"a\",\"target\":{\"serial\":\"S\"},\"target_state\":\"x\"}"),
		"drives[0].target_state: \"x\" is not one of" },
	{ TRACKED("full", "nbd://h", "\"bitmap\":\"b\",\"target_state\":\"pristine\""),
		"drives[0].bitmap: needs mode" },
	{ TRACKED("delta", "nbd://h", "\"bitmap\":\"b\""),
		"drives[0].bitmap: needs target_state" },
	{ TRACKED("delta", "nbd://h", "\"since\":\"s\",\"target_state\":\"pristine\""),
		"drives[0].since: needs a source with tws://" },
	{ TRACKED("delta", "file:/x", "\"bitmap\":\"b\",\"target_state\":\"pristine\""),
		"drives[0].bitmap: needs an NBD source" },
	{ TRACKED("delta", "nbd://h\",\"live_passes\":2,\"connections\":2,\"psk\":\""
		"u:00112233445566778899aabbccddeeff",
		"\"bitmap\":\"b\",\"target_state\":\"pristine\""),
		"drives[0].bitmap: and source.live_passes exclude" },
	{ TRACKED("delta", "nbd://h",
		"\"since\":\"0123456789012345678901234567890123456789\""),
		"drives[0].since: is 40 bytes long" },
	{ TRACKED("delta", "nbd://h", "\"since\":\"\""),
		"drives[0].since: must not be empty" },
	{ TRACKED("delta", "nbd://h", "\"bitmap\":\"b\",\"target_state\":\"pristine\""),
		NULL },
	{ COPY ",\"source\":{\"url\":\"http://h\"}" DRIVES "}",
		"source.url: must start with" },
	{ COPY ",\"source\":{\"url\":\"tw://h\"}" DRIVES "}",
		"source.url: is not encrypted" },
	{ COPY ",\"source\":{\"url\":\"tw://h\",\"allow_plain\":true}" DRIVES
		"}", NULL },
	{ COPY ",\"source\":{\"url\":\"tws://h\"}" DRIVES "}", "source.psk: is missing" },
	{ COPY ",\"source\":{\"url\":\"tws://h\",\"psk\":\"x:12\"}" DRIVES "}",
		"source.psk: is not of the form" },
	{ COPY ",\"source\":{\"url\":\"tws://h\",\"psk\":"
	  "\"x:zz112233445566778899aabbccddeeff\"}" DRIVES "}",
		"source.psk: holds a key that is not" },
	{ COPY ",\"source\":{\"url\":\"nbd://h\",\"connections\":0}" DRIVES "}",
		"source.connections: is 0, must be from 1 to 16" },
	{ COPY ",\"source\":{\"url\":\"nbd://h\",\"connections\":-1}" DRIVES "}",
		"source.connections: must be a whole number" },
	{ COPY ",\"source\":{\"url\":\"nbd://h\",\"connections\":1.5}" DRIVES
		"}", "source.connections: must be a whole number" },
	{ PREP SOURCE "}", "source: has no use in mode prepare" },
	{ PREP ",\"prepare\":false}", "prepare: is switched off in mode prepare" },
	{ HEAD ",\"mode\":\"prepare\"" DRIVES "}", NULL },
	{ HEAD ",\"mode\":\"prepare\",\"drives\":[{\"target\":{\"size_exact\":true}}]}",
		"drives[0].target: size_exact needs a source" },
	{ CTL("\"url\":\"https://c\",\"token\":\"t\",\"pins\":[\"" PIN "\"]"), NULL },
	{ CTL("\"url\":\"http://c\",\"token\":\"t\",\"pins\":[\"" PIN "\"]"),
		"controller.url: must be https" },
	{ CTL("\"url\":\"https://c:x/\",\"token\":\"t\",\"pins\":[\"" PIN "\"]"),
		"controller.url: must be https" },
	{ CTL("\"url\":\"https://u@c/\",\"token\":\"t\",\"pins\":[\"" PIN "\"]"),
		"controller.url: must be https" },
	{ CTL("\"url\":\"https://[::1]:8443/v1\",\"token\":\"t\",\"pins\":[\"" PIN "\"]"),
		NULL },
	{ CTL("\"url\":\"https://c\",\"token\":\"t\",\"pins\":[]"),
		"controller.pins: needs" },
	{ CTL("\"url\":\"https://c\",\"token\":\"t\",\"pins\":[\"sha256//AAA\"]"),
		"controller.pins[0]: is not a pin" },
	{ CTL("\"url\":\"https://c\",\"token\":\"t\\r\\nX: y\",\"pins\":[\"" PIN "\"]"),
		"controller.token: holds a control character" },
	{ CTL("\"url\":\"https://c\",\"token\":\"t t\",\"pins\":[\"" PIN "\"]"),
		"controller.token: holds a blank" },
	{ CTL("\"url\":\"https://c\",\"token\":\"t\""), "controller.pins: missing" },
	{ NET("{}"), "network[0]: needs dhcp" },
	{ NET("{\"dhcp\":\"yes\"}"),
		"network[0].dhcp: must be true or false, not a string" },
	{ NET("{\"mac\":\"52:54\",\"dhcp\":true}"), "network[0].mac: is not a MAC" },
	{ NET("{\"address\":\"10.0.0.1\"}"), "network[0].address: needs a prefix" },
	{ NET("{\"address\":\"10.0.0.1/33\"}"), "network[0].address: has a bad prefix" },
	{ NET("{\"address\":\"10.0.0.300/24\"}"), "network[0].address: is not an IPv4" },
	{ NET("{\"address\":\"10.0.0.1/24\",\"gateway\":\"10.0.0.2/24\"}"),
		"network[0].gateway: must be an address without" },
	{ NET("{\"address\":\"10.0.0.1/24\",\"dhcp\":true}"),
		"network[0].address: and dhcp exclude" },
	{ NET("{\"dhcp\":true,\"gateway\":\"10.0.0.2\"}"),
		"network[0].gateway: needs address" },
	{ NET("{\"address6\":\"2001:db8::1/129\"}"),
		"network[0].address6: has a bad prefix" },
	{ NET("{\"dhcp\":true,\"dns\":[\"10.0.0.2\",\"x\"]}"),
		"network[0].dns[1]: is not an" },
	{ NET("{\"dhcp\":true,\"dns\":[\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\","
	      "\"1.1.1.1\"]}"), "network[0].dns: has 5 elements" },
	{ NET("{\"dhcp\":true,\"mtu\":100}"), "network[0].mtu: is 100" },
	{ NET("{\"dhcp\":true},{\"dhcp\":true}"),
		"network[1].mac: is that of network[0]" },
	{ FULL ",\"verify\":true}", "verify: must be a string, not true or false" },
	{ FULL ",\"bandwidth\":\"fast\"}", "bandwidth: is not a rate" },
	{ COPY ",\"source\":{\"url\":\"nbd://h\",\"bad_ranges_max\":\"some\"}" DRIVES "}",
		"source.bad_ranges_max: is not a number of bytes" },
	{ FULL ",\"bandwidth\":\"99999999999999999999\"}", "bandwidth: is not a rate" },
	{ FULL ",\"bandwidth\":\"20000000T\"}", "bandwidth: is not a rate" },
	{ PREPARE("\"guest\":\"linux\""), "prepare.guest: must be" },
	{ PREP ",\"prepare\":{\"undo\":true,\"dry_run\":true}}",
		"prepare.undo: and dry_run" },
	{ PREPARE("\"addresses\":{\"eth0\":\"10.0.0.5\"}"),
		"prepare.addresses.eth0: address eth0: 10.0.0.5 is neither dhcp nor" },
	{ PREPARE("\"addresses\":{\"all\":\"10.0.0.5/24\"}"),
		"prepare.addresses.all: address all: 10.0.0.5/24 is neither dhcp nor" },
	{ PREPARE("\"addresses\":{\"eth0\":1}"),
		"prepare.addresses.eth0: must be a string" },
	{ PREPARE("\"undo\":true"), "prepare: dry_run, rehearse and undo need" },
	{ PREPARE("\"rehearse\":true"), "prepare: dry_run, rehearse and undo need" },
	{ PREP ",\"prepare\":{\"rehearse\":true,\"undo\":true}}",
		"prepare.rehearse: excludes" },
	{ PREPARE("\"edited\":\"keep\""), "prepare.edited: needs undo" },
	{ PREPARE("\"undo_earlier\":true"), "prepare.undo_earlier: needs undo" },
	{ PREP ",\"prepare\":{\"undo\":true,\"edited\":\"lose\"}}",
		"prepare.edited: \"lose\" is not one of: refuse, keep, restore" },
	{ PREPARE("\"network\":{\"a/b\":\"52:54:00:12:34:56\"}"),
		"prepare.network.a/b: is neither a MAC" },
	{ PREPARE("\"network\":{\"e\":\"52:54:00:12:34:56\",\"f\":\"52:54:00:12:34:56\"}"),
		"prepare.network.f: one of the two is already" },
	{ PREPARE("\"network\":{\"52:54:00:12:34:56\":1}"),
		"prepare.network.52:54:00:12:34:56: must be a string" },
	{ PREPARE("\"console\":\"ttyS0\""),
		"prepare.console: \"ttyS0\" is not one of: keep, serial" },
	{ PREPARE("\"keys\":[\"\"]"), "prepare.keys[0]: must not be empty" },
	{ PREPARE("\"keys\":[{\"uuid\":\"x\"}]"), "prepare.keys[0].key: missing" },
	{ PREPARE("\"keys\":[{\"key\":\"x\",\"key_base64\":\"eA==\"}]"),
		"prepare.keys[0].key_base64: only one of" },
	{ PREPARE("\"keys\":[{\"key_base64\":\"%\"}]"),
		"prepare.keys[0].key_base64: is not base64" },
	{ PREPARE("\"keys\":[{\"key\":\"x\",\"uuid\":\"u\",\"device\":\"d\"}]"),
		"prepare.keys[0].uuid: and device exclude" },
	{ PREPARE("\"guest_agent\":true"), "prepare.guest_agent: must be a string" },
	{ PREPARE("\"guest_agent\":\"yes\""),
		"prepare.guest_agent: \"yes\" is not one of: keep, install" },
	{ PREPARE("\"packages\":{\"size_exact\":true}"),
		"prepare.packages.size_exact: says nothing" },
	{ PREPARE("\"virtio_win\":{}"), "prepare.virtio_win: needs exactly one" },
	{ PREPARE("\"virtio_win\":{\"size_exact\":true}"),
		"prepare.virtio_win.size_exact: says nothing" },
	{ PREPARE("\"virtio_win\":\"x\""), "prepare.virtio_win: must be an object" },
	{ FULL ",\"extensions\":[{\"when\":\"never\",\"run\":\"x\"}]}",
		"extensions[0].when: \"never\" is not one of" },
	{ FULL ",\"extensions\":[{\"when\":\"mounted\"}]}",
		"extensions[0].run: missing" },
	{ FULL ",\"finish\":\"halt\"}", "finish: \"halt\" is not one of" },
	{ FULL ",\"report_deadline_s\":86401}", "report_deadline_s: is 86401" },
	{ FULL ",\"report_deadline_s\":18446744073709551616}",
		"report_deadline_s: must be a" },
};

TEST(every_key)
{
	struct err err = ERR_INIT;
	struct job *j;

	if (!CHECK(job_parse(whole, strlen(whole), &j, &err) == 0)) {
		printf("%s\n", err.text);
		return;
	}
	CHECK_STR(j->migration, "m-2041");
	CHECK(j->mode == JOB_DELTA);
	CHECK(j->controller.present);
	CHECK_STR(j->controller.url, "https://10.0.2.2:8443/v1");
	CHECK_STR(j->controller.token, "t0k3n");
	CHECK(j->controller.n_pins == 1);
	CHECK_STR(j->controller.pins[0], PIN + 8);
	CHECK(j->n_nets == 2);
	CHECK_STR(j->nets[0].mac, "52:54:00:12:34:ab");
	CHECK(j->nets[0].dhcp4 && j->nets[0].slaac6);
	CHECK_STR(j->nets[1].address4, "10.1.0.5/24");
	CHECK_STR(j->nets[1].gateway4, "10.1.0.1");
	CHECK_STR(j->nets[1].address6, "2001:db8::5/64");
	CHECK_STR(j->nets[1].gateway6, "fe80::1");
	CHECK_STR(j->nets[1].dns[1], "2001:db8::2");
	CHECK(j->nets[1].mtu == 1400 && j->nets[1].timeout_s == 30);
	CHECK_STR(j->source.url, "tws://10.0.2.2:5994");
	CHECK_STR(j->source.psk, "tw:00112233445566778899aabbccddeeff");
	CHECK(j->source.connections == 4 && j->source.stall_s == 30);
	CHECK_U64(j->source.bad_ranges_max, 64 << 10);
	CHECK(j->n_drives == 5);
	CHECK_STR(j->drives[0].target.serial, "TW0");
	CHECK(j->drives[0].target_state == JOB_PRISTINE && j->drives[0].target_zero);
	CHECK_STR(j->drives[1].target.wwn, "0x5000c500a1b2c3d4");
	CHECK(j->drives[1].target_state == JOB_BOOTED);
	CHECK_STR(j->drives[2].target.path, "pci-0000:00:05.0");
	CHECK(j->drives[2].target_state == JOB_UNKNOWN);
	CHECK_STR(j->drives[3].target.device, "/tmp/x");
	CHECK(j->drives[4].target.size_exact);
	CHECK(j->verify == COPY_VERIFY_FULL);
	CHECK_U64(j->bandwidth, 200ull << 20);
	CHECK(j->prepare.enabled && !j->prepare.remove_tools && !j->prepare.nvram);
	CHECK_STR(j->prepare.guest, "/dev/sda2");
	CHECK(j->prepare.console == GUEST_CONSOLE_SERIAL);
	CHECK(j->prepare.n_nics == 1 && j->prepare.tool_timeout_s == 120);
	CHECK_STR(j->prepare.nics[0].old_mac, "00:50:56:00:00:01");
	CHECK_STR(j->prepare.nics[0].mac, "52:54:00:12:34:56");
	CHECK(j->prepare.n_keys == 3);
	CHECK_STR(j->prepare.keys[1].secret, "second");
	CHECK(j->prepare.keys[1].len == 6 && !*j->prepare.keys[1].device);
	CHECK_STR(j->prepare.keys[2].uuid, "1-2");
	CHECK(j->prepare.keys[2].len == 3 &&
		!memcmp(j->prepare.keys[2].secret, "\0\x01\xff", 3));
	CHECK(j->prepare.guest_agent == JOB_AGENT_INSTALL);
	CHECK(j->prepare.has_packages);
	CHECK_STR(j->prepare.packages.serial, "PK");
	CHECK(j->prepare.has_virtio_win);
	CHECK_STR(j->prepare.virtio_win.serial, "VW");
	CHECK(j->n_extensions == 1 && !j->extensions[0].fatal);
	CHECK_STR(j->extensions[0].when, "mounted");
	CHECK_STR(j->extensions[0].run, "#!/bin/sh\ntrue\n");
	CHECK(j->finish == JOB_HOLD && j->on_error == JOB_REBOOT);
	CHECK(j->report_deadline_s == 60);
	job_free(j);
}

TEST(defaults)
{
	struct err err = ERR_INIT;
	struct job *j;

	REQUIRE(job_parse(FULL "}", strlen(FULL "}"), &j, &err) == 0);
	CHECK(j->prepare.enabled && j->prepare.remove_tools && j->prepare.nvram);
	CHECK_STR(j->prepare.guest, "auto");
	CHECK(j->prepare.console == GUEST_CONSOLE_KEEP);
	CHECK(j->verify == COPY_VERIFY_SAMPLE && j->bandwidth == 0);
	CHECK(j->finish == JOB_POWEROFF && j->on_error == JOB_POWEROFF);
	CHECK(j->report_deadline_s == 1800 && !j->controller.present);
	job_free(j);
}

TEST(mistakes)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = ERR_INIT;
		struct job *j = NULL;
		int rc = job_parse(cases[i].text, strlen(cases[i].text), &j, &err);

		if (!cases[i].error) {
			if (!CHECK(rc == 0))
				printf("  %s: %s\n", cases[i].text, err.text);
		} else if (!CHECK(rc == -1 && err.code == ERR_CFG_INVALID &&
				   !strncmp(err.text, cases[i].error,
					   strlen(cases[i].error)))) {
			printf("  %s\n  says \"%s\", wanted \"%s\"\n", cases[i].text,
				err.text, cases[i].error);
		}
		job_free(j);
	}
}

/* The whole document with each of its values replaced by one of another type. */
TEST(wrong_types)
{
	static const char *const others[] = { "null", "{\"x\":1}", "[[]]", "-1.5",
		"\"\\u0000\"" };
	size_t len = strlen(whole), tried = 0;
	char *text = malloc(len + 32);

	REQUIRE(text);
	for (size_t i = 0; i + 2 < len; i++) {
		size_t start = i + 3, end = start;

		if (strncmp(whole + i, "\": ", 3))
			continue;
		if (whole[start] == '"')
			for (end++; whole[end++] != '"' || whole[end - 2] == '\\';)
				continue;
		else if (whole[start] == '{' || whole[start] == '[')
			continue;
		else
			end += strcspn(whole + start, ",}");
		for (size_t o = 0; o < sizeof(others) / sizeof(others[0]); o++) {
			struct err err = ERR_INIT;
			struct job *j = NULL;

			sprintf(text, "%.*s%s%s", (int)start, whole, others[o],
				whole + end);
			if (!CHECK(job_parse(text, strlen(text), &j, &err) == -1))
				printf("  accepted: %s\n", text);
			CHECK(err.code == ERR_CFG_INVALID);
			job_free(j);
			tried++;
		}
	}
	CHECK(tried > 150);
	free(text);
}

TEST(truncated)
{
	for (size_t n = 0; n < strlen(whole); n++) {
		struct err err = ERR_INIT;
		struct job *j = NULL;

		CHECK(job_parse(whole, n, &j, &err) == -1 && err.code == ERR_CFG_INVALID);
		job_free(j);
	}
}

static const struct test tests[] = {
	TEST_ENTRY(every_key, "every key of a whole document arrives in its field"),
	TEST_ENTRY(defaults, "keys left out have the documented values"),
	TEST_ENTRY(mistakes, "each mistake is named by the path of its key"),
	TEST_ENTRY(wrong_types, "no value of another type is accepted anywhere"),
	TEST_ENTRY(truncated, "no prefix of a document is accepted"),
};
TEST_MAIN(tests)
