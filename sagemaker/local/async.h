/*
 * async.h: InvokeEndpointAsync: requests are rows of the store until they are answered; an answer is an object, written in the
 * same step in which its row goes. So whatever ends the backend, none is lost, and none is answered twice.
 *
 * async.mu guards what runs now; nothing is called under it.
 */
#ifndef SAGEMAKER_LOCAL_ASYNC_H
#define SAGEMAKER_LOCAL_ASYNC_H

#include "sagemaker/local/backend.h"

struct async;

struct async *async_new(struct backend *be); /* NULL: out of memory */
/* async_stop: nothing is begun any more. async_free: when the engine and the workers have ended; takes NULL. */
void async_stop(struct async *a);
void async_free(struct async *a);
/* async_tick: once a second: begins what waits, gives up what is too old. */
void async_tick(struct async *a);

#endif
