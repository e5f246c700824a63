#include "sagemaker/err.h"

#include <errno.h>
#include <stdarg.h>

#include "sagemaker/buf.h"

/* What err.h tells the analyser. */
#undef err_set
#undef err_errno
#undef err_prefix
#undef err_append

static _printf_(2, 0) void set_text(struct err *e, const char *fmt, va_list ap)
{
	vsnprintf(e->text, sizeof e->text, fmt, ap);
}

int err_set(struct err *e, int no, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	err_clear(e);
	e->no = no;
	va_start(ap, fmt);
	set_text(e, fmt, ap);
	va_end(ap);
	return -1;
}

int err_errno(struct err *e, const char *fmt, ...)
{
	char reason[128];
	int no = errno;
	va_list ap;

	if (!e)
		return -1;
	err_clear(e);
	e->no = no ? no : EIO;
	va_start(ap, fmt);
	set_text(e, fmt, ap);
	va_end(ap);
	size_t n = strlen(e->text);
	snprintf(e->text + n, sizeof e->text - n, ": %s", strerror_r(e->no, reason, sizeof reason));
	return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char text[sizeof e->text];
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof text - 3)
		return -1;
	size_t keep = MIN(strlen(e->text), sizeof text - (size_t)n - 3);
	memcpy(text + n, ": ", 2);
	memcpy(text + n + 2, e->text, keep);
	text[(size_t)n + 2 + keep] = '\0';
	memcpy(e->text, text, sizeof text);
	return -1;
}

int err_append(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	size_t n = strlen(e->text);
	if (n + 3 >= sizeof e->text)
		return -1;
	memcpy(e->text + n, "; ", 3);
	va_start(ap, fmt);
	vsnprintf(e->text + n + 2, sizeof e->text - n - 2, fmt, ap);
	va_end(ap);
	return -1;
}

void err_show(const struct err *e, struct buf *out)
{
	const char *sep = " (";

	if (!e->no)
		return;
	buf_str(out, e->text);
	if (e->code[0]) {
		buf_printf(out, "%s%s", sep, e->code);
		sep = ", ";
	}
	if (e->http) {
		buf_printf(out, "%sHTTP %ld", sep, e->http);
		sep = ", ";
	}
	if (e->attempts > 1) {
		buf_printf(out, "%s%d attempts", sep, e->attempts);
		sep = ", ";
	}
	if (e->request[0]) {
		buf_printf(out, "%srequest %s", sep, e->request);
		sep = ", ";
	}
	buf_str(out, streq(sep, ", ") ? ")\n" : "\n");
}

void err_clear(struct err *e)
{
	if (e)
		memset(e, 0, sizeof *e);
}
