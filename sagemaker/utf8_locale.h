/* utf8_locale.h: file names in archives are UTF-8 whatever the process's locale is; libarchive asks the thread's. */
#ifndef SAGEMAKER_UTF8_LOCALE_H
#define SAGEMAKER_UTF8_LOCALE_H

#include <locale.h>

/* utf8_enter: this thread's character type is UTF-8 until utf8_leave with what utf8_enter returned. */
static inline locale_t utf8_enter(void)
{
	locale_t l = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

	return l ? uselocale(l) : (locale_t)0;
}

static inline void utf8_leave(const locale_t *before)
{
	if (*before)
		freelocale(uselocale(*before));
}

/* Until the end of the enclosing block. */
#define SCOPED_UTF8() \
 __attribute__((unused, cleanup(utf8_leave))) locale_t utf8_before_ = utf8_enter()

#endif
