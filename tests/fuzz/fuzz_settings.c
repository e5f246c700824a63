/* sagemaker.json, twice: what is accepted is accepted again as it was kept, with the same meaning. */
#include "sagemaker/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct package_settings s, again;
	struct err e = {0};

	if (settings_parse((const char *)p, n, &s, &e) == 0) {
		if (settings_parse(s.text, strlen(s.text), &again, &e) == 0 &&
		    (!streq(s.framework, again.framework) || !streq(s.role, again.role)))
			abort();
		settings_release(&again);
	}
	settings_release(&s);
	return 0;
}
