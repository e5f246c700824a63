/* images_table.h: the tables that scripts/make-images-table generates for images.c; no one else includes this. */
#ifndef SAGEMAKER_IMAGES_TABLE_H
#define SAGEMAKER_IMAGES_TABLE_H

#include "sagemaker/util.h"

struct image_account { /* who publishes in a region */
	const char *region, *account;
};

/* One image. Rows of a framework and processor family stand together, versions ascending, of one version the default
 * Python first. The tag is the prefix, or without one the version as it was given, and then cpu or gpu. */
struct image_row {
	const char *framework;
	bool arm; /* for Graviton instances */
	const char *version, *py /* "": the tag names none */, *repository;
	const char *prefix; /* "2.1.0-transformers4.37.0" or NULL */
	const char *cpu;    /* rest of the tag on a cpu, "-cpu-py38"; NULL: no such image */
	const char *gpu;
	bool asked;                           /* only when its version is named, never by default */
	const struct image_account *registry; /* ends with a NULL region */
};

struct image_alias { /* "2.19" stands for "2.19.0" */
	const char *framework;
	bool arm;
	const char *alias, *version;
};

struct image_domain { /* regions that begin with prefix; the last row is "" and takes all */
	const char *prefix, *domain;
};

struct image_extra { /* what a framework's tag is followed by on one family of instances */
	const char *framework, *tag, *suffix;
};

struct image_end { /* the first version that a retired family of instances does not run */
	const char *framework, *version;
};

/* Each ends with a row whose first member is NULL, the domains with the prefix "". */
extern const struct image_row image_rows[];
extern const struct image_alias image_aliases[];
extern const struct image_domain image_domains[];
extern const struct image_extra image_p4d[];
extern const struct image_end image_no_p2[];

#endif
