/* images.c: look-ups in the generated tables. */
#include "sagemaker/images.h"

#include <ctype.h>
#include <errno.h>

#include "sagemaker/images_table.h"

enum processor { CPU, GPU, ARM, ARM_GPU, NEURON };

static const char *const processor_names[] = {"cpu", "gpu", "arm64", "arm64 with gpu", "neuron"};

/* The machine behind "ml.c7gd.xlarge": letters, a number, letters; a second part that begins with g is Graviton (g, gd, gn,
 * gen); g and p first are NVIDIA, inf and trn Neuron. */
static enum processor processor_of(const char *instance_type)
{
	const char *family = starts_with(instance_type, "ml.") ? instance_type + 3 : instance_type;
	size_t letters = strcspn(family, "0123456789.");
	const char *rest = family + letters + strspn(family + letters, "0123456789");
	bool gpu = letters && (family[0] == 'g' || family[0] == 'p');

	if (starts_with(family, "inf") || starts_with(family, "trn"))
		return NEURON;
	if (*rest == 'g')
		return gpu ? ARM_GPU : ARM;
	return gpu ? GPU : CPU;
}

int version_compare(const char *a, const char *b)
{
	for (;;) {
		char *end_a, *end_b;
		unsigned long x = strtoul(a, &end_a, 10), y = strtoul(b, &end_b, 10);
		bool more_a = end_a > a, more_b = end_b > b;

		if (!more_a || !more_b)
			return (int)more_a - (int)more_b;
		if (x != y)
			return x < y ? -1 : 1;
		a = end_a + (*end_a == '.');
		b = end_b + (*end_b == '.');
	}
}

static const char *resolve_alias(const char *framework, bool arm, const char *version)
{
	for (const struct image_alias *a = image_aliases; a->framework; a++)
		if (a->arm == arm && streq(a->framework, framework) && streq(a->alias, version))
			return a->version;
	return version;
}

static const char *account_of(const struct image_row *row, const char *region)
{
	for (const struct image_account *a = row->registry; a->region; a++)
		if (streq(a->region, region))
			return a->account;
	return NULL;
}

static bool among(const char *text, const char *const list[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (streq(list[i], text))
			return true;
	return false;
}

size_t images_registries(const char *region, const char *out[], size_t max)
{
	size_t n = 0;

	for (const struct image_row *row = image_rows; row->framework && n < max; row++) {
		const char *account = account_of(row, region);

		if (account && !among(account, out, n))
			out[n++] = account;
	}
	return n;
}

static const char *domain_of(const char *region)
{
	const struct image_domain *d = image_domains;

	while (!starts_with(region, d->prefix))
		d++;
	return d->domain;
}

/* Whether the row's images run on this processor. */
static bool runs_on(const struct image_row *row, enum processor p)
{
	switch (p) {
	case CPU:
		return !row->arm;
	case GPU:
		return !row->arm && row->gpu;
	case ARM:
		return row->arm;
	default:
		return false;
	}
}

static bool known_framework(const char *framework)
{
	for (const struct image_row *r = image_rows; r->framework; r++)
		if (streq(r->framework, framework))
			return true;
	return false;
}

/* The versions, newest first, for a processor and region (NULL: any): the rows ascend, so walk them backwards. */
static void list_versions(const char *framework, const enum processor *p, const char *region,
			  struct buf *out)
{
	const char *last = "";
	size_t n = 0;

	while (image_rows[n].framework)
		n++;
	while (n--) {
		const struct image_row *r = &image_rows[n];

		if (!streq(r->framework, framework) || streq(r->version, last) ||
		    (p ? !runs_on(r, *p) : r->arm) || (region && !account_of(r, region)))
			continue;
		buf_printf(out, "%s%s", *last ? " " : "", r->version);
		last = r->version;
	}
}

void images_versions(const char *framework, struct buf *out)
{
	list_versions(framework, NULL, NULL, out);
}

/* Say why nothing fits and what does: narrow first by framework, then processor, then region, then version. */
static int refuse(const char *framework, const char *version, const char *region,
		  const char *instance_type, struct err *e)
{
	enum processor p = processor_of(instance_type);
	_cleanup_buf_ struct buf any = BUF_INIT(0), here = BUF_INIT(0);

	if (!known_framework(framework))
		return err_set(e, EINVAL, "there is no image for framework '%s'", framework);
	list_versions(framework, &p, NULL, &any);
	if (!any.len)
		return err_set(e, EINVAL,
			       "there is no %s image for instance type '%s' (%s); take one with a "
			       "cpu, as ml.m5.large",
			       framework, instance_type, processor_names[p]);
	list_versions(framework, &p, region, &here);
	if (!here.len)
		return err_set(e, EINVAL, "there is no %s image in region '%s' for '%s'", framework,
			       region, instance_type);
	return err_set(e, EINVAL,
		       "there is no image of %s %s in region '%s' for '%s' (%s); there is %s",
		       framework, version, region, instance_type, processor_names[p],
		       buf_cstr(&here));
}

static int refuse_python(const struct image_row *row, const char *py, struct err *e)
{
	_cleanup_buf_ struct buf list = BUF_INIT(0);

	for (const struct image_row *r = image_rows; r->framework; r++)
		if (r->arm == row->arm && streq(r->framework, row->framework) &&
		    streq(r->version, row->version))
			buf_printf(&list, "%s%s", list.len ? " " : "", r->py);
	return err_set(e, EINVAL, "there is no image of %s %s with Python '%s'; there is %s",
		       row->framework, row->version, py, buf_cstr(&list));
}

/* The row of a full version; *first is the one of its default Python when py is not among its Pythons. */
static const struct image_row *find_row(const char *framework, const char *version, const char *py,
					enum processor p, const struct image_row **first)
{
	*first = NULL;
	for (const struct image_row *r = image_rows; r->framework; r++) {
		if (!streq(r->framework, framework) || !runs_on(r, p) ||
		    !streq(r->version, version))
			continue;
		if (!*py || !*r->py || streq(r->py, py)) /* no Python in the tag: py is moot */
			return r;
		if (!*first)
			*first = r;
	}
	return NULL;
}

/* version as given, processor, Python, base; empty parts vanish. */
static void put_tag(const struct image_row *r, const char *version, enum processor p,
		    struct buf *out)
{
	buf_printf(out, "%s-%s", version, p == GPU ? "gpu" : "cpu");
	if (*r->py)
		buf_printf(out, "-%s", r->py);
	if (*r->base)
		buf_printf(out, "-%s", r->base);
	if (r->arm)
		buf_str(out, "-sagemaker");
}

static void put_image(const struct image_row *r, enum processor p, struct image *out)
{
	snprintf(out->framework, sizeof(out->framework), "%s", r->framework);
	snprintf(out->version, sizeof(out->version), "%s", r->version);
	snprintf(out->processor, sizeof(out->processor), "%s", processor_names[p]);
	snprintf(out->py, sizeof(out->py), "%s", r->py);
}

int images_uri(const char *framework, const char *version, const char *py, const char *region,
	       const char *instance_type, struct image *out, struct err *e)
{
	enum processor p = processor_of(instance_type);
	const char *full = resolve_alias(framework, p == ARM, version);
	const struct image_row *first;
	const struct image_row *row = find_row(framework, full, py ? py : "", p, &first);
	_cleanup_buf_ struct buf tag = BUF_INIT(0);

	memset(out, 0, sizeof(*out));
	if (!row && first)
		return refuse_python(first, py, e);
	const char *account = row ? account_of(row, region) : NULL;
	if (!row || !account)
		return refuse(framework, version, region, instance_type, e);
	put_tag(row, version, p, &tag);
	put_image(row, p, out);
	snprintf(out->uri, sizeof(out->uri), "%s.dkr.ecr.%s.%s/%s:%s", account, region,
		 domain_of(region), row->repository, buf_cstr(&tag));
	return 0;
}

int images_default_version(const char *framework, const char *at_least, const char *region,
			   const char *instance_type, char out[16], struct err *e)
{
	enum processor p = processor_of(instance_type);
	bool newest = !at_least || !*at_least;
	const struct image_row *best = NULL;

	for (const struct image_row *r = image_rows; r->framework; r++) {
		if (!streq(r->framework, framework) || !runs_on(r, p) || !account_of(r, region))
			continue;
		if (newest || version_compare(r->version, at_least) >= 0)
			best = r;
		if (best && !newest)
			break;
	}
	if (!best)
		return refuse(framework, newest ? "any version" : at_least, region, instance_type,
			      e);
	snprintf(out, 16, "%s", best->version);
	return 0;
}

/* The row whose repository is n bytes at s; the repository says framework and family. */
static const struct image_row *row_of_repository(const char *s, size_t n)
{
	for (const struct image_row *r = image_rows; r->framework; r++)
		if (strlen(r->repository) == n && memcmp(r->repository, s, n) == 0)
			return r;
	return NULL;
}

/* "2.19.0-cpu-py312-ubuntu22.04": the first part is the version, the others are told by their look. */
static bool parse_tag(const char *tag, const struct image_row *row, struct image *out)
{
	size_t n = strcspn(tag, "-");
	char version[sizeof(out->version)];

	if (n == 0 || n >= sizeof(version) || !isdigit((unsigned char)tag[0]))
		return false;
	memcpy(version, tag, n);
	version[n] = '\0';
	snprintf(out->version, sizeof(out->version), "%s",
		 resolve_alias(row->framework, row->arm, version));
	snprintf(out->framework, sizeof(out->framework), "%s", row->framework);
	snprintf(out->processor, sizeof(out->processor), "%s", row->arm ? "arm64" : "cpu");
	for (tag += n; *tag; tag += n) {
		tag++;
		n = strcspn(tag, "-");
		if (n == 3 && memcmp(tag, "gpu", 3) == 0)
			snprintf(out->processor, sizeof(out->processor), "gpu");
		else if (n > 2 && n < sizeof(out->py) && memcmp(tag, "py", 2) == 0)
			snprintf(out->py, sizeof(out->py), "%.*s", (int)n, tag);
	}
	return true;
}

bool images_parse(const char *uri, struct image *out)
{
	const char *slash = strrchr(uri, '/');
	const char *repository = slash ? slash + 1 : uri;
	const char *colon = strchr(repository, ':');

	memset(out, 0, sizeof(*out));
	if (!colon || strchr(colon, '@') || strlen(uri) >= sizeof(out->uri))
		return false;
	const struct image_row *row = row_of_repository(repository, (size_t)(colon - repository));
	if (!row || !parse_tag(colon + 1, row, out))
		return false;
	snprintf(out->uri, sizeof(out->uri), "%s", uri);
	return true;
}
