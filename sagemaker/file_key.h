/* file_key.h: what changes whenever a file's content can have changed. */
#ifndef SAGEMAKER_FILE_KEY_H
#define SAGEMAKER_FILE_KEY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct file_key {
	uint64_t dev, ino, size;
	int64_t mtime, ctime; /* nanoseconds */
};

void file_key_of(const struct stat *st, struct file_key *k);
bool file_key_same(const struct file_key *a, const struct file_key *b);
/* file_key_young: it changed so lately that it may change again within the file system's clock tick, with the same key: what is found
 * out about it now may soon be untrue. */
bool file_key_young(const struct file_key *k);

#endif
