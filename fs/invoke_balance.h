/* invoke_balance.h: has a JSON text closed all the brackets it opened? Incremental: bytes are fed as they come. */
#ifndef FS_INVOKE_BALANCE_H
#define FS_INVOKE_BALANCE_H

#include "sagemaker/util.h"

struct balance { /* zero-initialised: nothing seen */
	size_t depth;
	bool in_string, escaped;
};

void balance_feed(struct balance *b, const char *p, size_t n);
/* balance_open: more must come. Text that is not JSON is never open for ever by a quote alone: only brackets count; and a bracket
 * closed too often opens nothing: the container is the one to complain. */
bool balance_open(const struct balance *b);

#endif
