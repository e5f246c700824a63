#define PCRE2_CODE_UNIT_WIDTH 8
#include "sagemaker/local/patterns.h"

#include <errno.h>
#include <pcre2.h>

#include "sagemaker/buf.h"

#define SLOTS 512 /* a power of two, far more than AWS's models have patterns */
#define MATCH_LIMIT \
 100000 /* steps: AWS's patterns need a few per character, hostile texts could ask for more than there is time */

struct patterns {
	pthread_rwlock_t lock; /* guards the slots; a pattern that is there never changes or goes */
	size_t n;

	struct {
		const char *regex; /* NULL: free */
		pcre2_code *code;
	} slot[SLOTS];
};

struct patterns *patterns_new(struct err *e)
{
	struct patterns *p = calloc(1, sizeof *p);

	if (p)
		pthread_rwlock_init(&p->lock, NULL);
	else
		err_set(e, ENOMEM, "out of memory");
	return p;
}

void patterns_free(struct patterns *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		pcre2_code_free(p->slot[i].code);
	pthread_rwlock_destroy(&p->lock);
	free(p);
}

static pcre2_code *compile(const char *regex)
{
	_cleanup_free_ char *whole = str_printf("^(?:%s)$", regex);
	PCRE2_SIZE at;
	int code;

	return whole ? pcre2_compile((PCRE2_SPTR)whole, PCRE2_ZERO_TERMINATED,
				     PCRE2_UTF | PCRE2_DOLLAR_ENDONLY, &code, &at, NULL)
		     : NULL;
}

static bool run(const pcre2_code *code, const char *s)
{
	pcre2_match_context *limits = pcre2_match_context_create(NULL);
	pcre2_match_data *data = code ? pcre2_match_data_create_from_pattern(code, NULL) : NULL;
	bool same = false;

	if (data && limits) {
		pcre2_set_match_limit(limits, MATCH_LIMIT);
		same = pcre2_match(code, (PCRE2_SPTR)s, strlen(s), 0, 0, data, limits) >= 0;
	}
	pcre2_match_data_free(data);
	pcre2_match_context_free(limits);
	return same;
}

/* Where it is, or the free slot where it would be. */
static size_t slot_of(const struct patterns *p, const char *regex)
{
	size_t i = ((uintptr_t)regex >> 3) & (SLOTS - 1);

	while (p->slot[i].regex && p->slot[i].regex != regex)
		i = (i + 1) & (SLOTS - 1);
	return i;
}

static const pcre2_code *find(struct patterns *p, const char *regex)
{
	pthread_rwlock_rdlock(&p->lock);
	const pcre2_code *code = p->slot[slot_of(p, regex)].code;
	pthread_rwlock_unlock(&p->lock);
	return code;
}

/* Takes over code; another thread may have come first. NULL: the table is full, code is still the caller's. */
static const pcre2_code *keep(struct patterns *p, const char *regex, pcre2_code *code)
{
	pthread_rwlock_wrlock(&p->lock);
	size_t i = slot_of(p, regex);
	const pcre2_code *kept = p->slot[i].code;

	if (kept) {
		pcre2_code_free(code);
	} else if (p->n < SLOTS / 2) {
		p->slot[i].regex = regex;
		p->slot[i].code = code;
		p->n++;
		kept = code;
	}
	pthread_rwlock_unlock(&p->lock);
	return kept;
}

bool patterns_match(struct patterns *p, const char *regex, const char *s)
{
	const pcre2_code *code = p ? find(p, regex) : NULL;

	if (code)
		return run(code, s);
	pcre2_code *own = compile(regex);
	code = p && own ? keep(p, regex, own) : NULL;
	if (code)
		return run(code, s);
	bool same = run(own, s);
	pcre2_code_free(own);
	return same;
}
