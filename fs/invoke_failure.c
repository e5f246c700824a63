#include "fs/invoke_room.h"
#include "sagemaker/aws_errors.h"
#include "sagemaker/json.h"

/* What to do next; %s: the endpoint. */
static const struct {
	int no;
	const char *text;
} advice[] = {
	{EBADMSG,
	 "check the request's form and type (invoke/NAME.csv, .npy, .jsonl send other types)"},
	{EBUSY,   "try again, or wait with 'cat endpoints/%s/wait'"                          },
	{EACCES,  "check the credentials"						    },
};

static const char log_advice[] =
	"the endpoint's log says why (aws logs tail /aws/sagemaker/Endpoints/%s)";

static const char *advice_for(int no)
{
	for (size_t i = 0; i < ARRAY_SIZE(advice); i++)
		if (advice[i].no == no)
			return advice[i].text;
	return NULL;
}

/* Errnos that mean something else to callers of read and close, or that the kernel takes for its own. */
static int fitting(int no)
{
	switch (no) {
	case EAGAIN: /* only without patience (O_NONBLOCK) */
		return EBUSY;
	case EINTR: /* only to the interrupted: shells would try again for ever */
	case ENOSYS:
	case 0:
		return EIO;
	default:
		return no > 0 && no < 512 ? no : EIO;
	}
}

void invoke_refuse(struct req *r, int no)
{
	reply_err(r, fitting(no));
}

/* What the container said ends the sentence if it is one short line; else the part of it that says what went wrong does, and
 * the whole stands below. */
#define SAID_MAX ((size_t)300)

static size_t line_length(const char *text)
{
	return MIN(strcspn(text, "\r\n"), SAID_MAX);
}

static bool goes_below(const struct buf *container)
{
	return container && container->len > line_length(buf_cstr(container));
}

/* Below a traceback's header and its indented lines: the line with the exception, as "ValueError: no such column". */
static const char *past_traceback(const char *text)
{
	static const char header[] = "Traceback (most recent call last):";
	const char *line = text;

	if (!starts_with(text, header))
		return text;
	while ((line = strchr(line, '\n')) &&
	       (line[1] == ' ' || line[1] == '\t' || line[1] == '\r'))
		line++;
	return line && line[1] && line[1] != '\n' ? line + 1 : text;
}

/* The sentence in a document of several lines: TensorFlow Serving's {"error": ...}, multi-model-server's {"message": ...}, else
 * all of it on one line. To be freed. */
static char *gist_of_json(const struct buf *container)
{
	_cleanup_json_ cJSON *j = cJSON_ParseWithLength(buf_cstr(container), container->len);
	const char *said = json_text(j, "error") ? json_text(j, "error") : json_text(j, "message");

	if (said && *said)
		return strdup(said);
	return j ? cJSON_PrintUnformatted(j) : NULL;
}

#define SHOWN_MAX ((size_t)100)

/* TensorFlow Serving shows a value over several lines and says behind it what is wrong with it: on one line, the middle left out
 * of what is long. To be freed. */
static char *around_value(const char *text)
{
	struct buf line = {0};

	for (; *text; text++)
		if (!strchr(" \t\r\n", *text))
			buf_char(&line, *text);
		else if (line.len && line.data[line.len - 1] != ' ')
			buf_char(&line, ' ');
	char *all = buf_steal(&line);
	size_t n = all ? strlen(all) : 0;
	if (n <= SAID_MAX)
		return all;
	char *shorter =
		str_printf("%.*s ... %s", (int)SHOWN_MAX, all, all + n - (SAID_MAX - SHOWN_MAX));
	free(all);
	return shorter;
}

/* An error page has no reason but its title: Flask's, of AWS's container for scikit-learn. */
static char *title_of(const char *page)
{
	const char *at = strstr(page, "<title>"), *end = at ? strstr(at, "</title>") : NULL;

	return end ? strndup(at + 7, MIN((size_t)(end - at) - 7, SAID_MAX)) : NULL;
}

static char *gist(const struct buf *container)
{
	_cleanup_free_ char *json = goes_below(container) ? gist_of_json(container) : NULL;
	const char *text = past_traceback(json ? json : buf_cstr(container));
	size_t n = line_length(text);

	if (is_web_page(text, strlen(text)))
		return title_of(text);
	return n && text[n] && strchr("{[", text[n - 1]) ? around_value(text) : strndup(text, n);
}

/* The service wraps all that the container said into its message, on one line: its words are ours to lay out. */
static void quote(struct err *e, const struct buf *container)
{
	char *wrapped = strstr(e->text, " with message \"");
	_cleanup_free_ char *said = gist(container);

	if (wrapped)
		*wrapped = '\0';
	if (said && *said && !strstr(e->text, said))
		err_append(e, "the container said: %s", said);
}

static void explain(struct err *e, const struct invoke_file *f, const struct buf *container)
{
	const char *next =
		e->action[0] ? NULL : advice_for(e->no); /* a missing permission says all */

	if (container && is_web_page(buf_cstr(container), container->len))
		next = log_advice;
	err_prefix(e, "invoke '%s'", f->endpoint);
	if (container && container->len)
		quote(e, container);
	if (next && e->http != 0) {
		char text[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof text, next, f->endpoint);
#pragma GCC diagnostic pop
		err_append(e, "%s", text);
	}
}

/* The sentence, and below it the whole of what the container said when the sentence has only its beginning. */
static char *full_text(const struct err *e, const struct buf *container, size_t *len)
{
	struct buf text = BUF_INIT((size_t)1 << 20);

	err_show(e, &text);
	if (goes_below(container)) {
		buf_add(&text, container->data, MIN(container->len, (size_t)1000000));
		buf_char(&text, '\n');
	}
	*len = text.len;
	return buf_steal(&text);
}

static void fill(struct answer *a, int no, const struct err *e, const struct buf *container)
{
	size_t len;
	char *text = full_text(e, container, &len);

	answer_fill(a, no, text, len);
}

static void expired(struct timer *t)
{
	struct invoke *s = t->arg;
	bool more = answers_expire(s->answers, now_ms());

	SCOPED_LOCK(&s->mu);
	s->expiry_armed = more && !s->stopping;
	if (s->expiry_armed)
		timer_arm(s->m->watch, &s->expiry, ANSWERS_LIMITS.age_ms / 10);
}

void store_answer(struct invoke *s, const char *file, struct chain *writer, uint64_t ticket,
		  struct answer *a)
{
	answers_put(s->answers, file, writer, ticket, a, now_ms());
	SCOPED_LOCK(&s->mu);
	if (s->expiry_armed || s->stopping)
		return;
	s->expiry_armed = true;
	s->expiry.fn = expired;
	s->expiry.arg = s;
	timer_arm(s->m->watch, &s->expiry, ANSWERS_LIMITS.age_ms / 10);
}

/* Into .error, for the relatives, and the log. */
static void show(struct invoke *s, struct chain *who, const struct err *e,
		 const struct buf *container)
{
	_cleanup_answer_ struct answer *text = answer_new(0, NULL, 0);

	if (text) {
		fill(text, 0, e, container);
		store_answer(s, ERROR_FILE, who, answers_ticket(s->answers), text);
	}
	mount_fail(s->m, ROOM_INVOKE, e);
}

void failure_show(struct invoke *s, struct chain *who, const struct err *e)
{
	show(s, who, e, NULL);
}

void failure_fill(struct answer *a, struct invoke_file *f, struct chain *writer,
		  const struct err *e, const struct buf *container)
{
	struct err whole = *e;

	whole.no = fitting(e->no);
	explain(&whole, f, container);
	show(f->room, writer, &whole, container);

	size_t len;
	char *text = full_text(&whole, container, &len);
	if (text)
		endpoints_failed(f->room->m->endpoints, f->endpoint, text);
	answer_fill(a, whole.no, text, len);
}

struct answer *error_text(struct invoke *s, const struct chain *reader)
{
	struct buf text = {0};
	struct answer *a = answers_get(s->answers, ERROR_FILE, reader, now_ms());

	if (a)
		return a;
	mount_show_error(s->m, ROOM_INVOKE, &text);
	size_t len = text.len;
	return answer_new(0, buf_steal(&text), len);
}
