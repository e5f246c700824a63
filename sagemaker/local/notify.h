/* notify.h: what systemd is told of us (sd_notify(3)): a datagram to the socket that $NOTIFY_SOCKET names. */
#ifndef SAGEMAKER_LOCAL_NOTIFY_H
#define SAGEMAKER_LOCAL_NOTIFY_H

/* notify_service: "READY=1", "STOPPING=1", lines of NAME=VALUE; nothing when nobody asks for it or listens. */
void notify_service(const char *state);

#endif
