/* images_driver: one request a line on stdin, "framework version py region instance", "-" for none; one answer a line: the URI,
 * or "refused: " and the sentence. "default framework at_least region instance": the version that would be taken.
 * What images_parse makes of a URI must be what the URI was made of. */
#include <errno.h>
#include <stdio.h>

#include "sagemaker/images.h"

static const char *given(const char *word)
{
	return streq(word, "-") ? "" : word;
}

static void refused(const struct err *e)
{
	printf("refused: %s\n", e->no == EINVAL ? e->text : "with another error than EINVAL");
}

static bool comes_back(const struct image *image)
{
	struct image back;

	return images_parse(image->uri, &back) && streq(back.framework, image->framework) &&
	       streq(back.version, image->version) &&
	       streq(back.processor, "arm64") == streq(image->processor, "arm64");
}

int main(void)
{
	char line[512], w[5][96];

	while (fgets(line, sizeof line, stdin)) {
		struct image image;
		struct err e;

		if (sscanf(line, "%95s %95s %95s %95s %95s", w[0], w[1], w[2], w[3], w[4]) != 5)
			return 2;
		if (streq(w[0], "default")) {
			char version[IMAGE_VERSION_MAX];
			if (images_default_version(w[1], given(w[2]), w[3], w[4], version, &e))
				refused(&e);
			else
				puts(version);
		} else if (images_uri(w[0], w[1], given(w[2]), w[3], w[4], &image, &e))
			refused(&e);
		else
			printf("%s%s\n", image.uri,
			       comes_back(&image) ? "" : " (images_parse does not know it)");
	}
	return 0;
}
