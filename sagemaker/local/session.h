/*
 * session.h: temporary keys, as AssumeRole gives them out. Nothing is kept: the token says whose it is and how long it lasts, and is
 * signed with the store's secret, from which the session's secret is derived, too; so they outlive a restart of the backend.
 */
#ifndef SAGEMAKER_LOCAL_SESSION_H
#define SAGEMAKER_LOCAL_SESSION_H

#include "sagemaker/local/backend.h"

#define SESSION_SECRET 41

struct session {
	char access[21]; /* "ASIA..." */
	char secret[SESSION_SECRET];
	char token[512];
	char who[160];   /* "ROLE/SESSION" */
	int64_t expires; /* epoch seconds */
};

/* session_make: new keys for who, for so many seconds. -1: who is too long. */
int session_make(const struct backend *be, const char *who, int64_t seconds, struct session *out,
		 struct err *e) _must_check_;

/* session_read: what an access key and its token are. EXPIRED fills *out, too. */
enum session_state { SESSION_GOOD, SESSION_EXPIRED, SESSION_UNKNOWN };
enum session_state session_read(const struct backend *be, const char *access, const char *token,
				struct session *out);

#endif
