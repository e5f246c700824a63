#include "fs/invoke_balance.h"

static void feed_string(struct balance *b, char c)
{
	if (b->escaped)
		b->escaped = false;
	else if (c == '\\')
		b->escaped = true;
	else if (c == '"')
		b->in_string = false;
}

static void feed_text(struct balance *b, char c)
{
	switch (c) {
	case '"':
		b->in_string = true;
		break;
	case '[':
	case '{':
		b->depth++;
		break;
	case ']':
	case '}':
		if (b->depth > 0)
			b->depth--;
		break;
	default:
		break;
	}
}

void balance_feed(struct balance *b, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (b->in_string)
			feed_string(b, p[i]);
		else
			feed_text(b, p[i]);
	}
}

bool balance_open(const struct balance *b)
{
	return b->depth > 0;
}
