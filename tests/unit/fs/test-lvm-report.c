/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of lvm2 about metadata that a guest wrote: no text of it becomes another field,
 * another row, a string of the configuration, an option or a path. The documents are as
 * lvm2 writes them: of a value, quotes are escaped, and nothing else.
 */
#include "fs/fs-internal.h"

#include "../test.h"

struct seen {
	int n;
	char name[8][64], id[8][64];
};

static int see(void *ctx, yyjson_val *row, struct err *err)
{
	struct seen *s = ctx;

	(void)err;
	if (s->n < 8) {
		fs_lvm_value(row, "vg_name", s->name[s->n], 64);
		fs_lvm_value(row, "vg_systemid", s->id[s->n], 64);
	}
	s->n++;
	return 0;
}

/* The document with a value as lvm2 writes it, and what is read of it. */
static int read_value(const char *value, struct seen *s, struct err *err)
{
	struct strbuf b = STRBUF_INIT;
	int result;

	memset(s, 0, sizeof(*s));
	strbuf_str(&b, "  {\n      \"report\": [\n          {\n              \"vg\": [\n"
		"                  {\"vg_name\":\"vg\", \"vg_systemid\":\"");
	for (const char *p = value; *p; p++) {
		if (*p == '"')
			strbuf_str(&b, "\\");
		strbuf_add(&b, p, 1);
	}
	strbuf_str(&b, "\"},\n                  {\"vg_name\":\"vg2\", \"vg_systemid\":\"\"}\n"
		"              ]\n          }\n      ]\n  }\n");
	result = fs_lvm_rows(b.s, b.len, "vg", see, s, err);
	strbuf_free(&b);
	return result;
}

TEST(values)
{
	static const char *const texts[] = {
		"\", \"vg_name\":\"other", "x\"}, {\"vg_name\":\"other\"}, {\"y\":\"",
		"' LVM2_VG_NAME='other", "[\"sh\", \"-c\"]", "x{y}", "a # b",
	};
	struct err err = ERR_INIT;
	struct seen s;

	CHECK(!read_value("node1.example.com", &s, &err));
	CHECK(s.n == 2);
	CHECK_STR(s.id[0], "node1.example.com");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CHECK(!read_value(texts[i], &s, &err));
		CHECK(s.n == 2);
		CHECK_STR(s.name[0], "vg");
		CHECK_STR(s.name[1], "vg2");
		CHECK_STR(s.id[0], texts[i]);
		CHECK(!fs_lvm_is_system_id(s.id[0]));
	}
}

/* A backslash is not escaped: it takes the quote behind it, and the document ends. */
TEST(spoilt)
{
	static const char *const texts[] = {
		"\\", "\\\", \"vg_name\":\"other", "x\\\"}, {\"vg_name\":\"other\\",
		"\\\"}]}],\"report\":[{\"vg\":[{\"vg_name\":\"other\"", "a\nb", "a\rb", "\x1b[2J",
		"\xff\xfe", "\\u0000x\\", "\\\":1,\\",
	};
	struct err err = ERR_INIT;
	struct seen s;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		err_clear(&err);
		CHECK(read_value(texts[i], &s, &err) == -1);
		CHECK_U64(err.code, ERR_PREP_STACK);
		CHECK(s.n == 0);
	}
	CHECK(fs_lvm_rows("", 0, "vg", see, &s, &err) == -1);
	CHECK(fs_lvm_rows("{}", 2, "vg", see, &s, &err) == -1);
	CHECK(fs_lvm_rows("[1]", 3, "vg", see, &s, &err) == -1);
}

/* "\u0000" in a value would cut it short. */
TEST(nul)
{
	struct err err = ERR_INIT;
	struct seen s;

	CHECK(!read_value("node1\\u0000x", &s, &err));
	CHECK_STR(s.id[0], "");
}

TEST(alphabets)
{
	static const char *const names[] = { "", "-a", ".", "..", "a/b", "../x", "a b",
		"a\"b", "a'b", "a\nb", "a\\b", "a,b", "@tag", "a=b", "\xc3\xa9" };
	static const char *const owners[] = { "localhost", "localhost.x", "-x", ".x",
		"a\"]", "a b", "a#b", "a/b", "a\n" };
	char longname[200] = "", node[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK(!fs_lvm_is_name(names[i]));
	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++)
		CHECK(!fs_lvm_is_system_id(owners[i]));
	CHECK(fs_lvm_is_name("deb-vg") && fs_lvm_is_name("a+b_c.d") && fs_lvm_is_name("...")
		&& fs_lvm_is_name("_"));
	CHECK(fs_lvm_is_system_id("node1.example.com"));
	CHECK(fs_lvm_is_uuid("p11OQt-0KjV-rG3o-XQYU-8fEF-Lnfm-il9Az0"));
	CHECK(!fs_lvm_is_uuid("p11OQt'x") && !fs_lvm_is_uuid(""));
	memset(longname, 'a', 128);
	CHECK(!fs_lvm_is_name(longname));
	CHECK(fs_lvm_is_system_id(longname));
	longname[127] = '\0';
	CHECK(fs_lvm_is_name(longname));
	CHECK(fs_lvm_node("deb-vg", "ro-ot", node, sizeof(node)));
	CHECK_STR(node, "/dev/mapper/deb--vg-ro--ot");
	memset(longname, '-', 127);
	CHECK(!fs_lvm_node(longname, "x", node, sizeof(node)));
}

TEST(luks_names)
{
	static const char *const names[] = { "", "-v", "--help", "a/b", "../vda", ".", "..",
		"control", "a b", "a\nb", "a,b", "a\\x20b" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK(!fs_luks_is_name(names[i]));
	CHECK(fs_luks_is_name("luks-6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0001"));
	CHECK(fs_luks_is_name("sda3_crypt") && fs_luks_is_name("cr:a@b=c#d+e"));
}

static const struct test tests[] = {
	TEST_ENTRY(values, "a value stays one value, whatever it holds"),
	TEST_ENTRY(spoilt, "what cannot be told apart from the document is refused"),
	TEST_ENTRY(nul, "a NUL does not cut a value"),
	TEST_ENTRY(alphabets, "names, owners and UUIDs are of LVM's own alphabet"),
	TEST_ENTRY(luks_names, "an option, a path or a line is no name of a volume"),
};
TEST_MAIN(tests)
