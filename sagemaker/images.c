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

/* "1.2-1" has three numbers, "2.16.0-rc1" too. */
static const char *after_number(const char *s)
{
	return *s == '.' || *s == '-' ? s + 1 : s;
}

int version_compare(const char *a, const char *b)
{
	for (;;) {
		bool more_a = isdigit((unsigned char)*a), more_b = isdigit((unsigned char)*b);
		char *end_a, *end_b;
		unsigned long x = strtoul(a, &end_a, 10), y = strtoul(b, &end_b, 10);

		if (!more_a || !more_b)
			return (int)more_a - (int)more_b;
		if (x != y)
			return x < y ? -1 : 1;
		a = after_number(end_a);
		b = after_number(end_b);
	}
}

/* n bytes at s as a string, cut to what fits. */
static void copy_part(char *out, size_t size, const char *s, size_t n)
{
	n = MIN(n, size - 1);
	memcpy(out, s, n);
	out[n] = '\0';
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

bool images_wants_sourcedir(const char *framework, const char *version)
{
	static const struct {
		const char *framework, *before;
	} rows[] = {
		{"tensorflow", "1.11"},
                {"mxnet",      "1.4" },
                {"pytorch",    "1.2" }
        };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (streq(rows[i].framework, framework))
			return version_compare(version, rows[i].before) < 0;
	return false;
}

static const char *domain_of(const char *region)
{
	const struct image_domain *d = image_domains;

	while (!starts_with(region, d->prefix))
		d++;
	return d->domain;
}

/* The rest of the tag on this processor; NULL when the row's images do not run on it. */
static const char *tag_on(const struct image_row *row, enum processor p)
{
	switch (p) {
	case CPU:
		return row->arm ? NULL : row->cpu;
	case GPU:
		return row->arm ? NULL : row->gpu;
	case ARM:
		return row->arm ? row->cpu : NULL;
	default:
		return NULL;
	}
}

bool images_known(const char *framework)
{
	for (const struct image_row *r = image_rows; r->framework; r++)
		if (streq(r->framework, framework))
			return true;
	return false;
}

/* How much of the version says enough: of "4.26.0-pytorch1.13.1" what stands before the base framework. */
static size_t short_version(const struct image_row *r)
{
	return r->prefix ? strcspn(r->version, "-") : strlen(r->version);
}

/* What to list: where not NULL, only images for that processor, in that region, of that short version with its bases. */
struct wanted {
	const char *framework;
	const enum processor *p;
	const char *region, *of;
};

static bool is_wanted(const struct image_row *r, const struct wanted *w)
{
	return streq(r->framework, w->framework) && (w->p ? tag_on(r, *w->p) != NULL : !r->arm) &&
	       (!w->region || account_of(r, w->region)) &&
	       (!w->of ||
		(r->prefix && strlen(w->of) == short_version(r) && starts_with(r->version, w->of)));
}

/* The versions, newest first: the rows ascend, so walk them backwards. */
static void list_versions(const struct wanted *w, struct buf *out)
{
	const char *last = "";
	size_t n = 0, last_len = 0;

	while (image_rows[n].framework)
		n++;
	while (n--) {
		const struct image_row *r = &image_rows[n];
		size_t len = w->of ? strlen(r->version) : short_version(r);

		if (!is_wanted(r, w) || (len == last_len && memcmp(r->version, last, len) == 0))
			continue;
		buf_printf(out, "%s%.*s", last_len ? " " : "", (int)len, r->version);
		last = r->version;
		last_len = len;
	}
}

/* When only the base framework of "4.26-pytorch2.9" is wrong: the bases that 4.26.0 has. */
static void list_bases(struct wanted w, const char *version, struct buf *out)
{
	char given[IMAGE_VERSION_MAX], full[IMAGE_VERSION_MAX];

	copy_part(given, sizeof(given), version, strcspn(version, "-"));
	snprintf(full, sizeof(full), "%s", resolve_alias(w.framework, false, given));
	full[strcspn(full, "-")] = '\0';
	w.of = full;
	list_versions(&w, out);
}

/* Say why nothing fits and what does: narrow first by framework, then processor, then region, then version. */
static int refuse(const char *framework, const char *version, const char *region,
		  const char *instance_type, struct err *e)
{
	enum processor p = processor_of(instance_type);
	_cleanup_buf_ struct buf any = BUF_INIT(0), here = BUF_INIT(0), bases = BUF_INIT(0);
	struct wanted w = {.framework = framework, .p = &p};

	if (!images_known(framework))
		return err_set(e, EINVAL, "there is no image for framework '%s'", framework);
	list_versions(&w, &any);
	if (!any.len)
		return err_set(e, EINVAL,
			       "there is no %s image for instance type '%s' (%s); take one with a "
			       "cpu, as ml.m5.large",
			       framework, instance_type, processor_names[p]);
	w.region = region;
	list_versions(&w, &here);
	if (!here.len)
		return err_set(e, EINVAL, "there is no %s image in region '%s' for '%s'", framework,
			       region, instance_type);
	list_bases(w, version, &bases);
	return err_set(e, EINVAL,
		       "there is no image of %s %s in region '%s' for '%s' (%s); there is %s",
		       framework, version, region, instance_type, processor_names[p],
		       buf_cstr(bases.len ? &bases : &here));
}

static bool of_family(const char *instance_type, const char *family)
{
	const char *s = starts_with(instance_type, "ml.") ? instance_type + 3 : instance_type;
	size_t n = strlen(family);

	return strncmp(s, family, n) == 0 && s[n] == '.';
}

/* A family of instances that newer versions do not run on any more. */
static int refuse_retired(const struct image_row *row, const char *instance_type, struct err *e)
{
	if (!of_family(instance_type, "p2"))
		return 0;
	for (const struct image_end *end = image_no_p2; end->framework; end++)
		if (streq(end->framework, row->framework) &&
		    version_compare(row->version, end->version) >= 0)
			return err_set(e, EINVAL,
				       "%s %s and later do not run on '%s': take a newer family "
				       "with a gpu, as ml.g5.xlarge, or a version before %s",
				       row->framework, end->version, instance_type, end->version);
	return 0;
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
		if (!streq(r->framework, framework) || !tag_on(r, p) || !streq(r->version, version))
			continue;
		if (!*py || !*r->py || streq(r->py, py)) /* no Python in the tag: py is moot */
			return r;
		if (!*first)
			*first = r;
	}
	return NULL;
}

/* The version as it was given, unless the tag begins with both of a base framework and its own: there only full ones. */
static void put_tag(const struct image_row *r, const char *version, enum processor p,
		    const char *instance_type, struct buf *out)
{
	buf_printf(out, "%s%s", r->prefix ? r->prefix : version, tag_on(r, p));
	if (!of_family(instance_type, "p4d"))
		return;
	for (const struct image_extra *x = image_p4d; x->framework; x++)
		if (streq(x->framework, r->framework) && streq(x->tag, buf_cstr(out))) {
			buf_printf(out, "-%s", x->suffix);
			return;
		}
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
	if (refuse_retired(row, instance_type, e))
		return -1;
	put_tag(row, version, p, instance_type, &tag);
	put_image(row, p, out);
	snprintf(out->uri, sizeof(out->uri), "%s.dkr.ecr.%s.%s/%s:%s", account, region,
		 domain_of(region), row->repository, buf_cstr(&tag));
	return 0;
}

/* Whether a default may be this row. */
static bool is_offered(const struct image_row *r, const char *framework, const char *region,
		       const char *instance_type)
{
	return streq(r->framework, framework) && !r->asked &&
	       tag_on(r, processor_of(instance_type)) && account_of(r, region) &&
	       !refuse_retired(r, instance_type, NULL);
}

int images_default_version(const char *framework, const char *at_least, const char *region,
			   const char *instance_type, char out[IMAGE_VERSION_MAX], struct err *e)
{
	bool newest = !at_least || !*at_least;
	const struct image_row *best = NULL;

	for (const struct image_row *r = image_rows; r->framework; r++) {
		if (!is_offered(r, framework, region, instance_type))
			continue;
		/* of equal ones the last: the base framework that is preferred */
		bool fits = newest || (best ? version_compare(r->version, best->version) == 0
					    : version_compare(r->version, at_least) >= 0);
		if (fits)
			best = r;
	}
	if (!best)
		return refuse(framework, newest ? "any version" : at_least, region, instance_type,
			      e);
	snprintf(out, IMAGE_VERSION_MAX, "%s", best->version);
	return 0;
}

/* ---- what a URI says ---- */

/* The row whose repository is n bytes at s; the repository says framework and family. */
static const struct image_row *row_of_repository(const char *s, size_t n)
{
	for (const struct image_row *r = image_rows; r->framework; r++)
		if (strlen(r->repository) == n && memcmp(r->repository, s, n) == 0)
			return r;
	return NULL;
}

/* Anyone may call an image as this row's repository; AWS's stands in AWS's registry. */
static bool by_its_publisher(const struct image_row *row, const char *uri)
{
	for (const struct image_account *a = row->registry; a->region; a++)
		if (starts_with(uri, a->account) && uri[strlen(a->account)] == '.')
			return true;
	return false;
}

/* Whether the tag's first parts are `first`. */
static bool begins_with(const char *tag, const char *first)
{
	size_t n = strlen(first);

	return strncmp(tag, first, n) == 0 && (tag[n] == '-' || !tag[n]);
}

/* How much of a tag is the version: the longest one that is known, else the parts that begin with a digit. */
static size_t version_length(const char *framework, const char *tag)
{
	size_t n = 0, end = 0;

	for (const struct image_row *r = image_rows; r->framework; r++)
		if (streq(r->framework, framework) && begins_with(tag, r->version))
			n = MAX(n, strlen(r->version));
	for (const struct image_alias *a = image_aliases; a->framework; a++)
		if (streq(a->framework, framework) && begins_with(tag, a->alias))
			n = MAX(n, strlen(a->alias));
	if (n)
		return n;
	while (isdigit((unsigned char)tag[end])) {
		n = end + strcspn(tag + end, "-");
		end = n + (tag[n] == '-');
	}
	return n;
}

/* "2.1.0-transformers4.37.0-gpu-py310": the version is 4.37.0-pytorch2.1.0 when the row says that its base is PyTorch. */
static size_t take_both_versions(const char *tag, const struct image_row *row,
				 char out[IMAGE_VERSION_MAX])
{
	const char *base = row->version + strcspn(row->version, "-");
	size_t kind = strcspn(base, "0123456789"), n = strcspn(tag, "-");
	const char *own = tag + n + strlen("-transformers");

	if (!isdigit((unsigned char)*tag) || !starts_with(tag + n, "-transformers"))
		return 0;
	size_t len = strcspn(own, "-");
	if (len == 0 || len + kind + n >= IMAGE_VERSION_MAX)
		return 0;
	memcpy(out, own, len);
	memcpy(out + len, base, kind);
	copy_part(out + len + kind, IMAGE_VERSION_MAX - len - kind, tag, n);
	return (size_t)(own - tag) + len;
}

/* Returns how much of the tag the version took, 0: there is none. */
static size_t take_version(const char *tag, const struct image_row *row,
			   char out[IMAGE_VERSION_MAX])
{
	if (row->prefix)
		return take_both_versions(tag, row, out);
	size_t n = version_length(row->framework, tag);
	if (n >= IMAGE_VERSION_MAX)
		return 0;
	copy_part(out, IMAGE_VERSION_MAX, tag, n);
	return n;
}

/* "2.19.0-cpu-py312-ubuntu22.04": first the version, the other parts are told by their look. */
static bool parse_tag(const char *tag, const struct image_row *row, struct image *out)
{
	char version[IMAGE_VERSION_MAX];
	size_t n = take_version(tag, row, version);

	if (!n)
		return false;
	snprintf(out->version, sizeof(out->version), "%s",
		 resolve_alias(row->framework, row->arm, version));
	snprintf(out->framework, sizeof(out->framework), "%s", row->framework);
	snprintf(out->processor, sizeof(out->processor), "%s", row->arm ? "arm64" : "cpu");
	for (tag += n; *tag; tag += n) {
		tag++;
		n = strcspn(tag, "-");
		if ((n == 3 && memcmp(tag, "gpu", 3) == 0) ||
		    (n == 5 && memcmp(tag, "arm64", 5) == 0))
			copy_part(out->processor, sizeof(out->processor), tag, n);
		else if (n > 2 && n < sizeof(out->py) && memcmp(tag, "py", 2) == 0)
			copy_part(out->py, sizeof(out->py), tag, n);
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
	if (!row || (row->asked && !by_its_publisher(row, uri)) || !parse_tag(colon + 1, row, out))
		return false;
	snprintf(out->uri, sizeof(out->uri), "%s", uri);
	return true;
}

int images_check_type(const char *type, struct err *e)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	const char *p = type;
	size_t part, parts = 0;

	do {
		part = strspn(p, allowed);
		p += part;
		parts++;
	} while (part && *p == '.' && *++p);
	if (parts == 3 && part && !*p && starts_with(type, "ml.") && strlen(type) < 32)
		return 0;
	return err_set(
		e, EINVAL,
		"'%.64s' is no instance type: it has the form ml.FAMILY.SIZE, as ml.m5.large",
		type);
}
