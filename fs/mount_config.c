#include <errno.h>

#include "fs/mount_private.h"
#include "sagemaker/imds.h"

int take_setting(char **where, const char *value, struct err *e)
{
	if (!value || *where)
		return 0;
	*where = strdup(value);
	return *where ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* Nothing says the region: this machine may be one of AWS's. */
static int ask_instance(const struct config *c, char region[64], struct err *e)
{
	return imds_region(c->profile, region, NULL, e);
}

static int take_aws(const struct options *o, struct config *c, struct err *e)
{
	const char *region = starts_with(o->source, "aws:") ? o->source + 4 : o->region;

	if (o->region && region != o->region && !streq(o->region, region))
		return err_set(e, EINVAL, "two regions: '%s' in the source, '%s' in the options",
			       region, o->region);
	c->find_region = ask_instance;
	c->allow_http = o->allow_http;
	return take_setting(&c->region, region, e) || take_setting(&c->profile, o->profile, e) ? -1
											       : 0;
}

int mount_configure(const struct options *o, struct config *c, struct err *e)
{
	if (take_setting(&c->bucket, o->bucket, e) < 0 ||
	    take_setting(&c->prefix, o->prefix, e) < 0 || take_setting(&c->role, o->role, e) < 0 ||
	    take_setting(&c->bucket_owner, o->bucket_owner, e) < 0 ||
	    take_setting(&c->kms_key, o->kms_key, e) < 0)
		return -1;
	c->upload_memory = o->upload_memory;
	c->upload_limit = o->upload_limit;
	return starts_with(o->source, "aws") ? take_aws(o, c, e) : 0;
}
