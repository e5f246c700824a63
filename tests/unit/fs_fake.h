/* fs_fake.h: the replies of req.h without FUSE: each request notes what it was answered; fs_fake.c. */
#ifndef TESTS_FS_FAKE_H
#define TESTS_FS_FAKE_H

#include "fs/mount.h"
#include "fs/vfile.h"

enum answer {
	NOT_YET,
	GOT_ERR,
	GOT_ENTRY,
	GOT_ATTR,
	GOT_DATA,
	GOT_OPEN,
	GOT_WRITE,
	GOT_LINK,
	GOT_DIR,
	GOT_POLL
};

struct req {
	struct mount *m;
	pthread_mutex_t mu; /* guards what follows */
	pthread_cond_t answered;
	enum answer what;
	unsigned answers; /* one each, or something is wrong */
	int no;           /* GOT_ERR */
	char data[4096];
	size_t n;
	struct stat st;
	struct node *node; /* GOT_ENTRY: remembered, as the kernel does */
	void *handle;
	unsigned events;
	void (*interrupt)(void *arg);
	void *interrupt_arg;
	bool gone; /* the caller is: reply_open fails */
};

struct dirfill {
	char names[4096];
};

struct pollwake {
	unsigned woken, dropped;
};

/* fake_mount: engines that need no network; fake_mount_release frees them. */
void fake_mount(struct mount *m, const struct node_ops *root_ops, const struct vfile *root_rows);
void fake_mount_release(struct mount *m);
void fake_req(struct req *r, struct mount *m);
/* fake_await: until answered, at most 5 s. fake_interrupt: as Ctrl-C. */
enum answer fake_await(struct req *r);
void fake_interrupt(struct req *r);

#endif
