/* invoke_load.c: many clients at once, each asking on a kept connection: a model server by its own HTTP, and the backend before it.
 * Arguments: CLIENTS N BODY REGION NAME=URL...; signed when NAME does not begin with "own". AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY sign. Each URL in turn, each once before to warm up; a line each: NAME errors p50 p99 (us) rate (/s). */
#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct load {
	const char *url, *body, *region;
	bool is_signed;
	int n;
	pthread_barrier_t *start;
};

struct client {
	pthread_t thread;
	struct load *load;
	double *times; /* microseconds */
	int errors;
};

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static size_t ignore(char *p, size_t size, size_t n, void *arg)
{
	(void)p, (void)arg;
	return size * n;
}

static CURL *open_curl(const struct load *l, struct curl_slist *headers)
{
	char keys[512], provider[128];
	CURL *c = curl_easy_init();

	snprintf(keys, sizeof keys, "%s:%s", getenv("AWS_ACCESS_KEY_ID"),
		 getenv("AWS_SECRET_ACCESS_KEY"));
	snprintf(provider, sizeof provider, "aws:amz:%s:sagemaker", l->region);
	curl_easy_setopt(c, CURLOPT_URL, l->url);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	if (l->is_signed) {
		curl_easy_setopt(c, CURLOPT_USERPWD, keys);
		curl_easy_setopt(c, CURLOPT_AWS_SIGV4, provider);
	}
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, l->body);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ignore);
	return c;
}

static void *run_client(void *arg)
{
	struct client *me = arg;
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	CURL *c = open_curl(me->load, headers);

	pthread_barrier_wait(me->load->start);
	for (int i = 0; i < me->load->n; i++) {
		long status = 0;
		double began = now_us();
		CURLcode rc = curl_easy_perform(c);

		me->times[i] = now_us() - began;
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
		me->errors += rc != CURLE_OK || status != 200;
	}
	curl_easy_cleanup(c);
	curl_slist_free_all(headers);
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(struct load *l, const char *name, int clients, bool shown)
{
	struct client *all = calloc((size_t)clients, sizeof *all);
	size_t total = (size_t)clients * (size_t)l->n;
	double *times = calloc(total, sizeof *times);
	pthread_barrier_t start;
	int errors = 0;

	if (!all || !times)
		exit(1);
	pthread_barrier_init(&start, NULL, (unsigned)clients + 1);
	l->start = &start;
	for (int i = 0; i < clients; i++) {
		all[i] = (struct client){.load = l, .times = times + (size_t)i * (size_t)l->n};
		if (pthread_create(&all[i].thread, NULL, run_client, &all[i]))
			exit(1);
	}
	pthread_barrier_wait(&start);
	double began = now_us();
	for (int i = 0; i < clients; i++) {
		pthread_join(all[i].thread, NULL);
		errors += all[i].errors;
	}
	double seconds = (now_us() - began) / 1e6;
	qsort(times, total, sizeof *times, by_size);
	if (shown)
		printf("%s %d %.0f %.0f %.0f\n", name, errors, times[total / 2],
		       times[total * 99 / 100], (double)total / seconds);
	fflush(stdout);
	free(times);
	free(all);
}

int main(int argc, char **argv)
{
	int clients = argc > 5 ? atoi(argv[1]) : 0, n = argc > 5 ? atoi(argv[2]) : 0;

	if (clients < 1 || n < 1) {
		fprintf(stderr, "usage: invoke_load CLIENTS N BODY REGION NAME=URL...\n");
		return 2;
	}
	curl_global_init(CURL_GLOBAL_ALL);
	for (int warm = 1; warm >= 0; warm--) {
		for (int i = 5; i < argc; i++) {
			char *url = strchr(argv[i], '=');

			if (!url)
				return 2;
			struct load l = {.url = url + 1,
					 .body = argv[3],
					 .region = argv[4],
					 .is_signed = strncmp(argv[i], "own", 3) != 0,
					 .n = warm ? (n + 19) / 20 : n};
			char name[64];
			snprintf(name, sizeof name, "%.*s", (int)(url - argv[i]), argv[i]);
			measure(&l, name, clients, !warm);
		}
	}
	return 0;
}
