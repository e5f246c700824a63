/*
 * sniff_pickle.c: pickles by their opcodes, which are walked and never executed: which classes they name, which version of
 * scikit-learn wrote them, whether they end. joblib's are pickles with raw arrays between the opcodes, possibly compressed.
 */
#define ZLIB_CONST
#include <ctype.h>
#include <errno.h>
#include <zlib.h>

#include "sagemaker/buf.h"
#include "sagemaker/sniff.h"

#define MAX_OPS    4000000
#define MEMO       16384
#define NAME_MAX_  120
#define VIEW       ((size_t)1 << 20) /* of each end, where classes and versions stand */
#define UNPACK_MAX ((uint64_t)1 << 30)

enum { STOP = '.', BINGET = 'h', LONG_BINGET = 'j', BINPUT = 'q', LONG_BINPUT = 'r' };

enum { PROTO = 0x80, SHORT_UNICODE = 0x8c, STACK_GLOBAL = 0x93, MEMOIZE = 0x94 };

/* What follows an opcode. '0' to '8': so many bytes; L, M: one, two lines; A, B, C: a length of 1, 4, 8 bytes and so many
 * bytes; '-': no such opcode. */
static char argument(uint8_t op)
{
	static const struct {
		char kind;
		const char *ops;
	} rows[] = {
		{'0', "().012NQRabdel]ostu}"                                    },
		{'0', "\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98"},
		{'1', "Khq\x80\x82"					     },
		{'2', "M\x83"						   },
		{'4', "Jjr\x84"						 },
		{'8', "G\x95"						   },
		{'L', "FILPSVgp"						},
		{'M', "ci"						      },
		{'A', "UC\x8a\x8c"					      },
		{'B', "TXB\x8b"						 },
		{'C', "\x8d\x8e\x96"					    },
	};

	for (size_t i = 0; op && i < ARRAY_SIZE(rows); i++)
		if (strchr(rows[i].ops, (char)op))
			return rows[i].kind;
	return '-';
}

struct text {
	char s[NAME_MAX_ + 1];
};

struct scan {
	struct bytes *b;
	uint64_t at;
	struct text top, below; /* the last two strings that were pushed, "" for what is no name */
	bool text;              /* the last of what was pushed is a string: top */
	struct text *memo;      /* MEMO of them, "" for what is no string */
	size_t memoized;
	struct file_facts *out;
	bool array; /* one of joblib's for arrays was named: raw bytes are between the opcodes */
};

static void push(struct scan *s, const char *p, size_t n)
{
	s->below = s->top;
	n = n > NAME_MAX_ ? 0 : n;
	if (n)
		memcpy(s->top.s, p, n);
	s->top.s[n] = '\0';
	s->text = true;
}

static void memoize(struct scan *s, size_t at)
{
	if (at < MEMO && s->text)
		s->memo[at] = s->top;
}

/* What was remembered is pushed again; beyond MEMO nobody knows what it was. */
static void recall(struct scan *s, size_t at)
{
	const char *name = at < MEMO ? s->memo[at].s : "";

	push(s, name, strlen(name));
}

static bool is_name(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '_' && *s != '.' && *s != '<' && *s != '>')
			return false;
	return true;
}

static void add_module(struct file_facts *out, const char *module)
{
	size_t n = MIN(strcspn(module, "."), (size_t)NAME_MAX_), have = strlen(out->modules);
	char one[NAME_MAX_ + 2];

	memcpy(one, module, n);
	memcpy(one + n, " ", 2);
	for (const char *at = out->modules; (at = strstr(at, one)); at++)
		if (at == out->modules || at[-1] == ' ')
			return;
	if (have + n + 2 < sizeof(out->modules))
		memcpy(out->modules + have, one, n + 2);
}

static void found(struct scan *s, const char *module, const char *name)
{
	struct file_facts *out = s->out;

	if (!is_name(module) || !is_name(name))
		return;
	s->array = s->array || starts_with(module, "joblib.numpy_pickle");
	if (!*out->owner && !starts_with(module, "copy") && !starts_with(module, "joblib"))
		snprintf(out->owner, sizeof(out->owner), "%.60s.%.32s", module, name);
	add_module(out, module);
}

/* The line at s->at without its end; -1: none of bearable length. */
static int take_line(struct scan *s, struct text *t)
{
	size_t n;
	const char *p = (const char *)bytes_some(s->b, s->at, &n);

	if (p && n < 2 * sizeof(*t) && s->b->size - s->at > n) {
		n = (size_t)MIN(s->b->size - s->at, (uint64_t)(2 * sizeof(*t)));
		p = (const char *)bytes_at(s->b, s->at, n);
	}
	const char *end = p ? memchr(p, '\n', n) : NULL;
	if (!end)
		return -1;
	size_t len = (size_t)(end - p);
	s->at += len + 1;
	len = len > NAME_MAX_ ? 0 : len;
	memcpy(t->s, p, len);
	t->s[len] = '\0';
	return 0;
}

static int take_lines(struct scan *s, uint8_t op)
{
	struct text module, name;

	s->text = false;
	if (take_line(s, &module))
		return -1;
	if (argument(op) != 'M')
		return 0;
	if (take_line(s, &name))
		return -1;
	found(s, module.s, name.s);
	return 0;
}

static bool is_text(uint8_t op)
{
	return op == 'X' || op == 'U' || op == 'T' || op == SHORT_UNICODE || op == 0x8d;
}

/* A length and what it counts. */
static int take_counted(struct scan *s, uint8_t op, int width)
{
	const uint8_t *p = bytes_at(s->b, s->at, (size_t)width);
	uint64_t n = p ? bytes_le(p, width) : 0;

	if (!p || n > s->b->size - s->at - (uint64_t)width)
		return -1;
	s->at += (uint64_t)width;
	s->text = false;
	if (is_text(op)) {
		p = n <= NAME_MAX_ ? bytes_at(s->b, s->at, (size_t)n) : NULL;
		push(s, (const char *)p, p ? (size_t)n : 0);
	}
	s->at += n;
	return 0;
}

/* Opcodes whose bytes, or which alone, move strings and classes. */
static void take_effect(struct scan *s, uint8_t op, const uint8_t *p)
{
	switch (op) {
	case BINPUT:
	case LONG_BINPUT:
		memoize(s, op == BINPUT ? p[0] : (size_t)bytes_le(p, 4));
		return;
	case BINGET:
	case LONG_BINGET:
		recall(s, op == BINGET ? p[0] : (size_t)bytes_le(p, 4));
		return;
	case MEMOIZE:
		memoize(s, s->memoized++);
		return;
	case STACK_GLOBAL:
		found(s, s->below.s, s->top.s);
		break;
	default:
		break;
	}
	s->text = false;
}

static int take_argument(struct scan *s, uint8_t op)
{
	char kind = argument(op);
	size_t n = (size_t)(kind - '0');

	switch (kind) {
	case 'L':
	case 'M':
		return take_lines(s, op);
	case 'A':
		return take_counted(s, op, 1);
	case 'B':
		return take_counted(s, op, 4);
	case 'C':
		return take_counted(s, op, 8);
	case '-':
		return -1;
	default:
		break;
	}
	const uint8_t *p = bytes_at(s->b, s->at, n);
	if (!p)
		return -1;
	take_effect(s, op, p);
	s->at += n;
	return 0;
}

enum pickle_end sniff_pickle_names(struct bytes *b, uint64_t at, struct file_facts *out)
{
	struct scan s = {.b = b, .at = at, .out = out, .memo = calloc(MEMO, sizeof(*s.memo))};
	enum pickle_end end = PICKLE_LEFT;

	for (int i = 0; s.memo && i < MAX_OPS; i++) {
		const uint8_t *p = bytes_at(b, s.at, 1);
		uint8_t op = p ? *p : 0;

		s.at++;
		if (p && op == STOP) {
			end = PICKLE_ENDED;
			break;
		}
		if (!p || take_argument(&s, op)) {
			end = s.array ? PICKLE_LEFT : PICKLE_BROKE;
			break;
		}
	}
	free(s.memo);
	return end;
}

/* What joblib's raw arrays hide from the walk, of modules that the container lacks most often: their names as strings. */
static void add_hidden(struct bytes *b, uint64_t from, uint64_t end, struct file_facts *out)
{
	static const char *const rows[] = {
		"__main__",  "xgboost.",           "lightgbm.",       "catboost.",
		"imblearn.", "category_encoders.", "feature_engine.", "statsmodels.",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = strlen(rows[i]);

		for (uint64_t at = from; (at = bytes_find(b, at, end, rows[i], n)) != UINT64_MAX;
		     at++) {
			const uint8_t *p = at < 2 ? NULL : bytes_at(b, at - 2, 2);

			if (!p || p[0] != SHORT_UNICODE || p[1] < n)
				continue;
			add_module(out, rows[i]);
			break;
		}
	}
}

/* What a string is followed by when the pickler remembers it: how many bytes. */
static size_t memo_length(uint8_t op)
{
	return op == MEMOIZE ? 1 : op == BINPUT ? 2 : op == LONG_BINPUT ? 5 : 0;
}

/* Bytes of the string behind an opcode for one, and where it begins behind the opcode; 0: none of a version's length. */
static size_t text_length(const uint8_t *p, size_t *skip)
{
	size_t n = 0;

	*skip = p[0] == 'X' ? 5 : 2;
	if (p[0] == SHORT_UNICODE)
		n = p[1];
	else if (p[0] == 'X')
		n = (size_t)bytes_le(p + 1, 4);
	return n < 16 ? n : 0;
}

/* "_sklearn_version", perhaps memoized, and the string behind it. */
static bool take_version(struct bytes *b, uint64_t from, uint64_t end, char out[16])
{
	static const char key[] = "_sklearn_version";
	uint64_t at = bytes_find(b, from, end, key, strlen(key));
	const uint8_t *p = at == UINT64_MAX ? NULL : bytes_at(b, at + strlen(key), 16);
	size_t memo = p ? memo_length(p[0]) : 0, skip = 0;
	size_t n = p ? text_length(p + memo, &skip) : 0;

	p = n ? bytes_at(b, at + strlen(key) + memo + skip, n) : NULL;
	if (p)
		memcpy(out, p, n);
	out[p ? n : 0] = '\0';
	if (strspn(out, "0123456789.") < 3)
		out[0] = '\0';
	return out[0] != '\0';
}

/* What is pickled, when that is a dict or a list of Python's own; NULL: something else. */
static const char *plain_top(struct bytes *b)
{
	const uint8_t *p = bytes_at(b, 2, 10);
	size_t frame = p && p[0] == 0x95 ? 9 : 0;

	return !p ? NULL : p[frame] == '}' ? "dict" : p[frame] == ']' ? "list" : NULL;
}

static enum pickle_end read_pickle(struct bytes *b, struct file_facts *out)
{
	uint64_t tail = b->size > VIEW ? b->size - VIEW : 0;

	out->kind = KIND_PICKLE;
	out->plain = plain_top(b);
	enum pickle_end end = sniff_pickle_names(b, 0, out);
	if (end == PICKLE_LEFT || strstr(out->modules, "joblib ")) {
		add_hidden(b, 0, MIN(b->size, (uint64_t)VIEW), out);
		add_hidden(b, tail, b->size, out);
	}
	if (!take_version(b, 0, MIN(b->size, (uint64_t)VIEW), out->version))
		(void)take_version(b, tail, b->size, out->version);
	return end;
}

static bool is_pickle(struct bytes *b)
{
	const uint8_t *p = bytes_at(b, 0, 10);

	return p &&
	       ((p[0] == PROTO && p[1] >= 2 && p[1] <= 5) || memcmp(p, "ccopy_reg\n", 10) == 0);
}

/* torch.save before 1.6: a pickled magic number first, the tensors' bytes behind several pickles. */
static bool is_old_torch(struct bytes *b)
{
	static const uint8_t magic[] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c,
					0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
	const uint8_t *p = bytes_at(b, 0, sizeof(magic));

	return p && memcmp(p, magic, sizeof(magic)) == 0;
}

bool sniff_pickle(struct bytes *b, struct file_facts *out)
{
	const uint8_t *last;

	if (is_old_torch(b)) {
		out->kind = KIND_TORCH_SAVE;
		out->form = "state_dict or pickled module of the form before PyTorch 1.6";
		return true;
	}
	if (!is_pickle(b))
		return false;
	enum pickle_end end = read_pickle(b, out);
	out->form = strstr(out->modules, "joblib ") ? "joblib" : "pickle";
	last = bytes_at(b, b->size - 1, 1);
	/* behind raw arrays only the last byte can tell */
	if (end == PICKLE_ENDED || (end == PICKLE_LEFT && last && *last == STOP))
		return true;
	return sniff_broken(out, ENODATA, "it is cut short: the pickle does not end");
}

/* ---- compressed ---- */

/* The beginning and the end of what unpacks. */
struct view {
	struct buf head, tail;
	uint64_t total;
};

static void view_add(struct view *v, const void *p, size_t n)
{
	size_t first = (size_t)MIN((uint64_t)n, VIEW - MIN((uint64_t)VIEW, v->total));

	buf_add(&v->head, p, first);
	if (v->tail.len + n > VIEW)
		buf_remove(&v->tail, MIN(v->tail.len, VIEW / 2));
	buf_add(&v->tail, p, n);
	v->total += n;
}

/* 1: to its end; 0: it goes on beyond what is looked at; -1: cut short or damaged. */
static int inflate_all(z_stream *z, struct bytes *b, struct view *v)
{
	uint8_t piece[8192];
	const uint8_t *p;
	size_t n;

	for (uint64_t at = 0; (p = bytes_some(b, at, &n)); at += n) {
		z->next_in = p;
		z->avail_in = (uInt)n;
		while (z->avail_in) {
			z->next_out = piece;
			z->avail_out = sizeof(piece);
			int rc = inflate(z, Z_NO_FLUSH);

			if (rc != Z_OK && rc != Z_STREAM_END)
				return -1;
			view_add(v, piece, sizeof(piece) - z->avail_out);
			if (rc == Z_STREAM_END)
				return 1;
			if (v->total > UNPACK_MAX)
				return 0;
		}
	}
	return -1;
}

/* false: what unpacks is no pickle. */
static bool read_view(struct view *v, struct file_facts *out)
{
	struct bytes head, tail;

	bytes_of_memory(&head, v->head.data, v->head.len);
	bytes_of_memory(&tail, v->tail.data, v->tail.len);
	if (!v->head.len || !is_pickle(&head))
		return false;
	(void)read_pickle(&head, out); /* whether it ends the compression says */
	add_hidden(&tail, 0, tail.size, out);
	if (!*out->version)
		(void)take_version(&tail, 0, tail.size, out->version);
	out->form = "compressed joblib";
	return true;
}

static bool sniff_zlib(struct bytes *b, struct file_facts *out)
{
	struct view v = {.head.max = VIEW, .tail.max = 2 * VIEW};
	z_stream z = {0};

	if (inflateInit2(&z, 15 + 32) != Z_OK) /* zlib's or gzip's header */
		return false;
	int rc = inflate_all(&z, b, &v);
	inflateEnd(&z);
	bool is = read_view(&v, out);
	buf_release(&v.head);
	buf_release(&v.tail);
	if (is && rc < 0)
		(void)sniff_broken(out, ENODATA,
				   "it is cut short: the compressed data does not end");
	return is;
}

/* joblib's other compressors are not looked into. */
static bool is_opaque(const uint8_t *p)
{
	return memcmp(p, "BZh", 3) == 0 ||
	       memcmp(p,
		      "\xfd"
		      "7zXZ",
		      5) == 0 ||
	       memcmp(p, "\x5d\0\0", 3) == 0 || memcmp(p, "\x04\x22\x4d\x18", 4) == 0;
}

bool sniff_packed_pickle(struct bytes *b, const char *name, struct file_facts *out)
{
	const uint8_t *p = bytes_at(b, 0, 5);

	if (!p || ends_with(name, ".json") || ends_with(name, ".txt"))
		return false;
	if ((p[0] == 0x78 && ((unsigned)p[0] << 8 | p[1]) % 31 == 0) ||
	    (p[0] == 0x1f && p[1] == 0x8b))
		return sniff_zlib(b, out);
	if (!is_opaque(p) || !(ends_with(name, ".joblib") || ends_with(name, ".pkl")))
		return false;
	out->kind = KIND_PICKLE;
	out->form = "compressed joblib";
	return true;
}
