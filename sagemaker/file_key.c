#include "sagemaker/file_key.h"

#include <time.h>

#define TOO_YOUNG_NS 50000000LL

static int64_t nanoseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

void file_key_of(const struct stat *st, struct file_key *k)
{
	*k = (struct file_key){st->st_dev, st->st_ino, (uint64_t)st->st_size,
			       nanoseconds(&st->st_mtim), nanoseconds(&st->st_ctim)};
}

bool file_key_same(const struct file_key *a, const struct file_key *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime == b->mtime &&
	       a->ctime == b->ctime;
}

bool file_key_young(const struct file_key *k)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return nanoseconds(&now) - (k->mtime > k->ctime ? k->mtime : k->ctime) < TOO_YOUNG_NS;
}
