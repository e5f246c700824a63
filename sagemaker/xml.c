#include "sagemaker/xml.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>

#include "sagemaker/buf.h"

#define MAX_DEPTH 16
#define MAX_PATH  512
#define MAX_TEXT  ((size_t)64 << 10)

struct scan {
	XML_Parser parser;
	struct buf path, text;
	size_t begin[MAX_DEPTH]; /* where each open element's own name begins in path */
	size_t depth;
	bool refused, stopped;
	xml_fn *fn;
	void *arg;
};

static void refuse(struct scan *s)
{
	s->refused = true;
	XML_StopParser(s->parser, XML_FALSE);
}

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct scan *s = arg;

	(void)attributes;
	if (s->depth == MAX_DEPTH) {
		refuse(s);
		return;
	}
	s->begin[s->depth++] = s->path.len;
	if (s->path.len)
		buf_char(&s->path, '/');
	buf_str(&s->path, name);
	buf_reset(&s->text);
	if (s->path.failed)
		refuse(s);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct scan *s = arg;

	(void)name;
	if (s->stopped || s->refused)
		return;
	if (s->fn(s->arg, buf_cstr(&s->path), buf_cstr(&s->text))) {
		s->stopped = true;
		XML_StopParser(s->parser, XML_FALSE);
		return;
	}
	s->path.len = s->begin[--s->depth];
	buf_terminate(&s->path);
	buf_reset(&s->text);
}

static void XMLCALL on_text(void *arg, const XML_Char *p, int n)
{
	struct scan *s = arg;

	if (buf_add(&s->text, p, (size_t)n))
		refuse(s);
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
			       const XML_Char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	refuse(arg);
}

int xml_scan(const void *p, size_t n, xml_fn *fn, void *arg, struct err *e)
{
	struct scan s = {
		.path = BUF_INIT(MAX_PATH), .text = BUF_INIT(MAX_TEXT), .fn = fn, .arg = arg};
	enum XML_Error why = XML_ERROR_NO_MEMORY;
	enum XML_Status status = XML_STATUS_ERROR;

	s.parser = XML_ParserCreate(NULL);
	if (s.parser && n <= INT_MAX) {
		XML_SetUserData(s.parser, &s);
		XML_SetElementHandler(s.parser, on_start, on_end);
		XML_SetCharacterDataHandler(s.parser, on_text);
		XML_SetStartDoctypeDeclHandler(s.parser, on_doctype);
		status = XML_Parse(s.parser, p, (int)n, 1);
		why = XML_GetErrorCode(s.parser);
	}
	if (s.parser)
		XML_ParserFree(s.parser);
	buf_release(&s.path);
	buf_release(&s.text);
	if (s.refused)
		return err_set(
			e, EPROTO,
			"the reply's XML is refused: too deep, too long or with a document type");
	if (status != XML_STATUS_OK && !s.stopped)
		return err_set(e, EPROTO, "the reply is not XML: %s", XML_ErrorString(why));
	return 0;
}
