/*
 * mount_linger.h: a process that outlives its mount until the deletions it was asked for are done: AWS deletes no endpoint while
 * it creates or updates it, and until it is deleted it is billed.
 *
 * STATE/lingering (the process's id) says so to `sagemakerfs unmount`, which need not wait for it, and to the next mount of the
 * same thing, which asks for the state directory by STATE/wanted and gets it, with the journal that tells what is left to do.
 */
#ifndef FS_MOUNT_LINGER_H
#define FS_MOUNT_LINGER_H

#include "fs/mount.h"

#define LINGERING "lingering"
#define WANTED    "wanted"

/* mount_linger_ms: by -o linger; 0: not at all. */
long mount_linger_ms(const struct mount *m);
/* mount_linger: returns when nothing is left to delete, the time is over, SIGTERM came, or another mount wants the state. The
 * mount is off already, its rooms are stopped but for endpoints/. */
void mount_linger(struct mount *m);
/* linger_take_over: the lock of a state directory, from a process that lingers there: -1: it does not, or does not let go. */
int linger_take_over(int dir, int lock);

#endif
