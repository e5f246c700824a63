/* images_table.h: the tables that scripts/make-images-table generates for images.c; no one else includes this. */
#ifndef SAGEMAKER_IMAGES_TABLE_H
#define SAGEMAKER_IMAGES_TABLE_H

#include "sagemaker/util.h"

struct image_account { /* who publishes in a region */
	const char *region, *account;
};

/* One image. Rows of a framework and processor family stand together, versions ascending, of one version the default
 * Python first. */
struct image_row {
	const char *framework;
	bool arm; /* for Graviton instances */
	const char *version, *py /* "": the tag names none */, *repository;
	const char *base;                     /* operating system in the tag, "" none */
	bool gpu;                             /* there is a gpu image too */
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

extern const struct image_row image_rows[];      /* ends with a NULL framework */
extern const struct image_alias image_aliases[]; /* ends with a NULL framework */
extern const struct image_domain image_domains[];

#endif
