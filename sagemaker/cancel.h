/* cancel.h: a flag that ends blocking work early. Reference counted; any thread may set it. */
#ifndef SAGEMAKER_CANCEL_H
#define SAGEMAKER_CANCEL_H

#include <stdbool.h>

struct cancel;

struct cancel *cancel_new(void);
struct cancel *cancel_ref(struct cancel *c); /* NULL stays NULL */
void cancel_unref(struct cancel *c);
void cancel_unrefp(struct cancel **c);
/* cancel_set: from now on cancelled; runs every hook once, in the caller's thread. */
void cancel_set(struct cancel *c);
bool cancel_is_set(const struct cancel *c); /* NULL: false */
/* cancel_on: call fn(arg) when set (at once if it is already). cancel_off: forget the hook; after it returns the
 * hook is not running and will not run. */
void cancel_on(struct cancel *c, void (*fn)(void *), void *arg);
void cancel_off(struct cancel *c, void (*fn)(void *), void *arg);
/* cancel_sleep: sleeps ms; true when cut short by cancel. */
bool cancel_sleep(struct cancel *c, long ms);

#endif
