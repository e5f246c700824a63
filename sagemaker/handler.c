/* handler.c: the templates handler_*.py with what is this model's in it. */
#include "sagemaker/handler.h"

#include "sagemaker/buf.h"

extern const char handler_template[]; /* generated from handler_template.py */

static const char *type_name(int dtype)
{
	return dtype == TF_FLOAT ? "float" : dtype == TF_INT64 ? "int64" : "string";
}

/* A Python string literal. */
static void put_literal(const char *s, struct buf *out)
{
	buf_char(out, '"');
	for (; *s; s++) {
		if ((unsigned char)*s < ' ') {
			buf_printf(out, "\\x%02x", *s);
			continue;
		}
		if (*s == '"' || *s == '\\')
			buf_char(out, '\\');
		buf_char(out, *s);
	}
	buf_char(out, '"');
}

static void put_features(const struct saved_model *m, struct buf *out)
{
	buf_str(out, "FEATURES = {\n");
	for (size_t i = 0; i < m->n_features; i++) {
		const struct saved_feature *f = &m->features[i];

		buf_str(out, "    ");
		put_literal(f->name, out);
		buf_printf(out, ": (\"%s\", %lld),\n", type_name(f->dtype), (long long)f->values);
	}
	buf_str(out, "}\n");
}

static void put_method(const struct saved_model *m, struct buf *out)
{
	buf_printf(out, "METHOD = \"%s\"\n", m->method);
}

/* Lines of the template that are replaced. */
static const struct {
	const char *line;
	void (*put)(const struct saved_model *m, struct buf *out);
} blanks[] = {
	{"FEATURES = {}\n",        put_features},
	{"METHOD = \"predict\"\n", put_method  },
};

static void put_line(const struct saved_model *m, const char *line, size_t n, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(blanks); i++)
		if (strlen(blanks[i].line) == n && strncmp(line, blanks[i].line, n) == 0) {
			blanks[i].put(m, out);
			return;
		}
	buf_add(out, line, n);
}

int handler_generate(const struct saved_model *m, struct buf *out)
{
	for (const char *line = handler_template; *line;) {
		size_t n = strcspn(line, "\n") + 1;

		put_line(m, line, n, out);
		line += n;
	}
	return out->failed ? -1 : 0;
}

int handler_named(const char *template, const char *key, const char *value, struct buf *out)
{
	_cleanup_free_ char *blank = str_printf("\n%s = \"\"\n", key);
	const char *at = blank ? strstr(template, blank) : NULL;

	if (!at)
		return -1;
	buf_add(out, template, (size_t)(at - template));
	buf_printf(out, "\n%s = ", key);
	put_literal(value, out);
	buf_char(out, '\n');
	buf_str(out, at + strlen(blank));
	return out->failed ? -1 : 0;
}

void handler_describe(const struct saved_model *m, struct buf *out)
{
	buf_printf(out,
		   "generated: code/inference.py, which turns JSON and CSV into tf.Examples for "
		   ":%s of",
		   m->method);
	for (size_t i = 0; i < m->n_features; i++) {
		const struct saved_feature *f = &m->features[i];

		buf_printf(out, "%s '%s' (%s", i ? "," : "", f->name, type_name(f->dtype));
		if (f->values < 0)
			buf_str(out, ", any number)");
		else
			buf_printf(out, " x %lld)", (long long)f->values);
	}
	buf_char(out, '\n');
}
