/* util.h: cleanup attributes and the few macros every room uses. Header only. */
#ifndef SAGEMAKER_UTIL_H
#define SAGEMAKER_UTIL_H

#include <cjson/cJSON.h>
#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _must_check_   __attribute__((warn_unused_result))
#define _unused_       __attribute__((unused))
#define _printf_(a, b) __attribute__((format(printf, a, b)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

/* streq: equal strings; both must be non-NULL. */
static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* starts_with: whether s begins with prefix. */
static inline bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* ends_with: whether s ends with suffix. */
static inline bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

/* now_text: "2026-11-23T17:55:00.123Z", as lines of logs and events begin. */
static inline void now_text(char out[32])
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 32 - n, ".%03uZ", (unsigned)(now.tv_nsec / 1000000) % 1000);
}

/* Cleanup functions: named freep/closep/... after the type they release. */
static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static inline void json_freep(cJSON **j)
{
	cJSON_Delete(*j);
}

static inline void unlockp(pthread_mutex_t **m)
{
	if (*m)
		pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *lock_take(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}

#define _cleanup_free_     _cleanup_(freep)
#define _cleanup_close_    _cleanup_(closep)
#define _cleanup_fclose_   _cleanup_(fclosep)
#define _cleanup_closedir_ _cleanup_(closedirp)
#define _cleanup_json_     _cleanup_(json_freep)

#define CONCAT_(a, b) a##b
#define CONCAT(a, b)  CONCAT_(a, b)
/* Hold a mutex until the end of the enclosing block. */
#define SCOPED_LOCK(m)                                                          \
 _unused_ pthread_mutex_t *CONCAT(scoped_lock_, __COUNTER__) _cleanup_(unlockp) \
 = lock_take(m)

/* steal: hand a pointer on and forget it here, so that a cleanup attribute does not free it. */
#define steal(p)        \
 __extension__(         \
	 {              \
__typeof__(p) steal_ = (p); \
(p) = NULL;                 \
steal_;                     \
	 })

/* steal_fd: the same for a descriptor. */
static inline int steal_fd(int *fd)
{
	int f = *fd;

	*fd = -1;
	return f;
}

#endif
