/* invoke_latency.c: one request by the kept-open file and the same by libcurl on a kept-open connection, in turns.
 * Arguments: FILE URL REGION N; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY sign libcurl's. */
#include <curl/curl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_ROUNDS 20000
static const char body[] = "[6.4, 3.2, 4.5, 1.5]";

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void by_file(int fd)
{
	char reply[4096];

	if (pwrite(fd, body, sizeof body - 1, 0) != sizeof body - 1)
		die("write");
	ssize_t n = pread(fd, reply, sizeof reply, 0);
	if (n <= 0 || !memmem(reply, (size_t)n, "6.4", 3))
		die("read");
}

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	*(size_t *)arg += size * n;
	return size * n;
}

static CURL *open_curl(const char *url, const char *region, size_t *got)
{
	char keys[512], provider[128];
	CURL *c = curl_easy_init();
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");

	snprintf(keys, sizeof keys, "%s:%s", getenv("AWS_ACCESS_KEY_ID"),
		 getenv("AWS_SECRET_ACCESS_KEY"));
	snprintf(provider, sizeof provider, "aws:amz:%s:sagemaker", region);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_USERPWD, keys);
	curl_easy_setopt(c, CURLOPT_AWS_SIGV4, provider);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, got);
	return c;
}

static void by_curl(CURL *c, size_t *got)
{
	long status = 0;

	*got = 0;
	CURLcode rc = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	if (rc == CURLE_OK && status == 200 && *got > 0)
		return;
	fprintf(stderr, "libcurl: %s, HTTP %ld\n", curl_easy_strerror(rc), status);
	exit(1);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *t, int n)
{
	qsort(t, (size_t)n, sizeof *t, by_size);
	return t[n / 2];
}

int main(int argc, char **argv)
{
	static double file[MAX_ROUNDS], curl[MAX_ROUNDS];
	size_t got = 0;
	int n = argc == 5 ? atoi(argv[4]) : 0;

	if (n < 1 || n > MAX_ROUNDS) {
		fprintf(stderr, "usage: invoke_latency FILE URL REGION N\n");
		return 2;
	}
	int fd = open(argv[1], O_RDWR);
	if (fd < 0)
		die(argv[1]);
	CURL *c = open_curl(argv[2], argv[3], &got);
	for (int i = -20; i < n; i++) { /* the first ones warm up */
		double a = now_us();
		by_file(fd);
		double b = now_us();
		by_curl(c, &got);
		double d = now_us();
		if (i >= 0) {
			file[i] = b - a;
			curl[i] = d - b;
		}
	}
	double f = median(file, n), l = median(curl, n);
	printf("one invocation, median of %d in turns: file %.0f us (p90 %.0f), libcurl %.0f us (p90 %.0f), ratio %.2f\n",
	       n, f, file[n * 9 / 10], l, curl[n * 9 / 10], f / l);
	curl_easy_cleanup(c);
	return 0;
}
