/* deploy.c against the control plane of control_world.c. */
#include <poll.h>
#include <pthread.h>

#include "control_world.h"

static int setup(void **state)
{
	(void)state;
	memset(&svc, 0, sizeof svc);
	svc.clock = 1000;
	return 0;
}

static struct {
	char steps[8];
	int refuse_at;
} seen;

static int taking(void *arg, enum deploy_step step, struct err *e)
{
	size_t n = strlen(seen.steps);

	(void)arg;
	seen.steps[n] = (char)('0' + (int)step);
	seen.steps[n + 1] = '\0';
	return (int)step == seen.refuse_at ? err_set(e, ENOSPC, "no room for the journal") : 0;
}

static const struct deploy_hooks hooks = {.taking = taking};

static const struct deployment iris = {.endpoint = "iris",
				       .suffix = "abcdefgh",
				       .role = "arn:aws:iam::123456789012:role/r",
				       .image = "img",
				       .data_url = "s3://b/k.tar.gz",
				       .digest = "d1",
				       .instance_type = "ml.m5.large",
				       .instance_count = 1};

static int create_iris(struct deploy_result *out, struct err *e)
{
	memset(&seen.steps, 0, sizeof seen.steps);
	err_clear(e);
	return deploy_create(NULL, &iris, &hooks, out, NULL, e);
}

static void nothing_left(void)
{
	assert_int_equal(world_count(MODEL), 0);
	assert_int_equal(world_count(CONFIG), 0);
	assert_int_equal(world_count(ENDPOINT), 0);
}

static void names(void **state)
{
	static const char *const good[] = {"a", "A1", "iris", "a-b", "a--b", "0"};
	static const char *const bad[] = {"", "-a", "a-", "a_b", "a.b", "a/b", "\xc3\xa9", "a b"};
	char text[65], long_name[65], resource[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(deploy_name_ok(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(deploy_name_ok(bad[i]));
	memset(text, 'a', 64);
	text[64] = '\0';
	assert_false(deploy_name_ok(text));
	text[63] = '\0';
	assert_true(deploy_name_ok(text));

	memset(long_name, 'x', 63);
	long_name[63] = '\0';
	deploy_resource(long_name, "abcdefgh", resource);
	assert_int_equal(strlen(resource), 63);
	assert_true(deploy_made(resource, long_name));
	deploy_resource("iris", "abcdefgh", resource);
	assert_string_equal(resource, "smfs-iris-abcdefgh");
	assert_true(deploy_made(resource, "iris"));
	assert_false(deploy_made(resource, "iri"));
	assert_false(deploy_made("smfs-iris-blue-abcdefgh", "iris"));
	assert_false(deploy_made("smfs-iris-ABCDEFGH", "iris"));
	assert_false(deploy_made("", "iris"));
}

static void suffixes(void **state)
{
	char a[DEPLOY_SUFFIX], b[DEPLOY_SUFFIX], resource[64];
	struct err e;

	(void)state;
	assert_int_equal(deploy_suffix(a, &e), 0);
	assert_int_equal(deploy_suffix(b, &e), 0);
	assert_int_equal(strlen(a), 8);
	assert_string_not_equal(a, b);
	deploy_resource("iris", a, resource);
	assert_true(deploy_made(resource, "iris"));
}

static void creates_in_order(void **state)
{
	struct deploy_result out;
	struct err e;

	(void)state;
	assert_int_equal(create_iris(&out, &e), 0);
	assert_string_equal(svc.log, "CreateModel CreateEndpointConfig CreateEndpoint");
	assert_string_equal(seen.steps, "123");
	assert_string_equal(out.arn, "arn:endpoint/iris");
	assert_int_equal(world_tags(ENDPOINT, "iris"), 3);
	assert_int_equal(world_tags(MODEL, "smfs-iris-abcdefgh"), 3);
}

static void refusal_is_undone_newest_first(void **state)
{
	struct deploy_result out;
	struct err e;

	(void)state;
	svc.faults[0] = (struct fault){"CreateEndpoint", 1,   REFUSE,
				       EDQUOT,           400, "The account-level service limit"};
	assert_int_equal(create_iris(&out, &e), -1);
	assert_int_equal(e.no, EDQUOT);
	assert_string_equal(e.text, "create endpoint 'iris': The account-level service limit");
	assert_false(out.leftovers);
	assert_string_equal(
		svc.log,
		"CreateModel CreateEndpointConfig CreateEndpoint DeleteEndpointConfig DeleteModel");
	nothing_left();
}

static void refused_model_undoes_nothing(void **state)
{
	struct deploy_result out;
	struct err e;

	(void)state;
	svc.faults[0] = (struct fault){"CreateModel", 1,   REFUSE,
				       EINVAL,        400, "Could not access model data"};
	assert_int_equal(create_iris(&out, &e), -1);
	assert_string_equal(svc.log, "CreateModel");
	assert_false(out.leftovers);
}

static void failed_undo_is_appended(void **state)
{
	struct deploy_result out;
	struct err e;

	(void)state;
	svc.faults[0] = (struct fault){"CreateEndpoint", 1, REFUSE, EINVAL, 400, "first"};
	svc.faults[1] = (struct fault){"DeleteModel", 1, REFUSE, EACCES, 400, "second"};
	assert_int_equal(create_iris(&out, &e), -1);
	assert_int_equal(e.no, EINVAL);
	assert_string_equal(
		e.text, "create endpoint 'iris': first; remove model 'smfs-iris-abcdefgh': second");
	assert_true(out.leftovers);

	bool adopted;
	assert_int_equal(deploy_recover(NULL, "iris", "abcdefgh", &adopted, NULL, &e), 0);
	assert_false(adopted);
	nothing_left();
}

static const char *const creates[] = {"CreateModel", "CreateEndpointConfig", "CreateEndpoint"};

static void lost_replies_are_no_failures(void **state)
{
	struct deploy_result out;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(creates); i++) {
		setup(state);
		svc.faults[0] = (struct fault){creates[i], 1, LOSE_REPLY, ETIMEDOUT, 0, "no reply"};
		assert_int_equal(create_iris(&out, &e), 0);
		assert_int_equal(world_count(ENDPOINT), 1);
	}
}

/* A reply is lost, and the repetition is refused, by a limit that the first has used up or because keys have expired meanwhile: what
 * was made is taken, not left. */
static void refused_repetitions_are_no_failures(void **state)
{
	struct deploy_result out;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(creates); i++) {
		setup(state);
		svc.faults[0] =
			(struct fault){creates[i], 1, REFUSE_REPETITION, EDQUOT, 400, "limit"};
		assert_int_equal(create_iris(&out, &e), 0);
		assert_int_equal(world_count(ENDPOINT), 1);
	}
}

/* The same where nobody may look: the endpoint keeps its parts until it is known. */
static void refused_repetitions_are_looked_for_later(void **state)
{
	struct deploy_result out;
	struct err e;
	bool adopted;

	(void)state;
	svc.faults[0] =
		(struct fault){"CreateEndpoint", 1, REFUSE_REPETITION, EACCES, 403, "expired"};
	svc.faults[1] = (struct fault){"DescribeEndpoint", 1, REFUSE, EACCES, 403, "expired"};
	assert_int_equal(create_iris(&out, &e), -1);
	assert_true(out.leftovers);
	assert_int_equal(world_count(CONFIG), 1);
	assert_int_equal(deploy_recover(NULL, "iris", "abcdefgh", &adopted, NULL, &e), 0);
	assert_true(adopted);
}

static void lost_requests_are_undone(void **state)
{
	struct deploy_result out;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(creates); i++) {
		setup(state);
		svc.faults[0] = (struct fault){creates[i], 1, LOSE_REQUEST, EIO, 500, "internal"};
		assert_int_equal(create_iris(&out, &e), -1);
		assert_false(out.leftovers);
		nothing_left();
	}
}

/* What was made a moment ago may be described as absent: nothing is undone, or believed to be gone, for that. */
static void what_is_not_seen_yet_is_there(void **state)
{
	static const struct fault unseen = {
		"DescribeEndpoint", 2, REFUSE, ENOENT, 400, "Could not find endpoint \"iris\"."};
	enum deploy_deletion deletion;
	struct deploy_result out;
	bool adopted;
	struct err e;

	svc.faults[0] = (struct fault){"CreateEndpoint", 1, LOSE_REPLY, ETIMEDOUT, 0, "no reply"};
	svc.faults[1] = unseen;
	assert_int_equal(create_iris(&out, &e), 0);
	assert_int_equal(world_count(CONFIG), 1);
	svc.faults[1] = unseen;
	assert_int_equal(deploy_delete(NULL, "iris", &deletion, NULL, &e), 0);
	assert_int_equal(deletion, DEPLOY_REFUSED);
	svc.faults[1] = unseen;
	assert_int_equal(deploy_recover(NULL, "iris", "abcdefgh", &adopted, NULL, &e), 0);
	assert_true(adopted);

	setup(state);
	svc.faults[0] =
		(struct fault){"CreateModel", 1,   LOSE_REPLY,
			       EEXIST,        400, "Cannot create already existing model \"x\"."};
	svc.faults[1] = (struct fault){"DescribeModel", 2,   REFUSE,
				       ENOENT,          400, "Could not find model \"x\"."};
	assert_int_equal(create_iris(&out, &e), 0);
}

/* The retry of a create whose reply was lost says that it exists: only the same one counts. */
static void existing_is_compared(void **state)
{
	struct deploy_result out;
	struct err e;

	(void)state;
	struct thing *t = world_add(MODEL, "smfs-iris-abcdefgh");
	snprintf(t->data, sizeof t->data, "%s", iris.data_url);
	snprintf(t->image, sizeof t->image, "%s", iris.image);
	assert_int_equal(create_iris(&out, &e), 0);

	setup(state);
	t = world_add(ENDPOINT, "iris");
	snprintf(t->ref, sizeof t->ref, "somebody-elses");
	assert_int_equal(create_iris(&out, &e), -1);
	assert_int_equal(e.no, EEXIST);
	assert_int_equal(world_count(ENDPOINT), 1);
	assert_int_equal(world_count(CONFIG), 0);
	assert_int_equal(world_count(MODEL), 0);
}

/* Nobody says whether the endpoint was made: its configuration stays until that is known. */
static void unknown_end_is_left_to_recover(void **state)
{
	struct deploy_result out;
	struct err e;
	bool adopted;

	(void)state;
	svc.faults[0] = (struct fault){"CreateEndpoint", 1, LOSE_REPLY, ETIMEDOUT, 0, "no reply"};
	svc.faults[1] = (struct fault){"DescribeEndpoint", 2, REFUSE, ECONNREFUSED, 0, "refused"};
	assert_int_equal(create_iris(&out, &e), -1);
	assert_true(out.leftovers);
	assert_int_equal(world_count(CONFIG), 1);
	assert_int_equal(deploy_recover(NULL, "iris", "abcdefgh", &adopted, NULL, &e), -1);
	assert_int_equal(deploy_recover(NULL, "iris", "abcdefgh", &adopted, NULL, &e), 0);
	assert_true(adopted);
	assert_int_equal(world_count(CONFIG), 1);
}

static void late_visibility_is_waited_for(void **state)
{
	struct deploy_result out;
	struct err e;

	(void)state;
	svc.faults[0] = (struct fault){
		"CreateEndpoint", 2,   REFUSE,
		EINVAL,           400, "Could not find endpoint configuration \"x\"."};
	assert_int_equal(create_iris(&out, &e), 0);
	assert_string_equal(
		svc.log,
		"CreateModel CreateEndpointConfig CreateEndpoint CreateEndpoint CreateEndpoint");
}

static void *cancel_soon(void *arg)
{
	poll(NULL, 0, 100);
	cancel_set(arg);
	return NULL;
}

/* Cancelled meanwhile, it ends at once; the service did answer, so the endpoint is known not to be there. */
static void waiting_for_visibility_is_cancelled(void **state)
{
	struct cancel *c _cleanup_(cancel_unrefp)
	= cancel_new();
	struct deploy_result out;
	struct err e;
	pthread_t t;

	(void)state;
	svc.faults[0] =
		(struct fault){"CreateEndpoint",
			       1000,
			       REFUSE,
			       ENOENT,
			       400,
			       "Could not find endpoint configuration \"smfs-iris-abcdefgh\"."};
	pthread_create(&t, NULL, cancel_soon, c);
	assert_int_equal(deploy_create(NULL, &iris, &hooks, &out, c, &e), -1);
	pthread_join(t, NULL);
	assert_int_equal(e.no, ECANCELED);
	assert_false(out.leftovers);
	nothing_left();
}

static void the_users_tags_come_after_ours(void **state)
{
	const struct tag tags[] = {
		{"team", "vision"},
                {"cost", ""      }
        };
	struct deployment d = iris;
	struct deploy_result out;
	struct err e;

	(void)state;
	d.tags = tags;
	d.n_tags = ARRAY_SIZE(tags);
	assert_int_equal(deploy_create(NULL, &d, &hooks, &out, NULL, &e), 0);
	assert_false(out.untagged);
	assert_int_equal(world_tags(ENDPOINT, "iris"), 5);
	assert_int_equal(world_tags(MODEL, "smfs-iris-abcdefgh"), 5);
	assert_int_equal(world_tags(CONFIG, "smfs-iris-abcdefgh"), 5);
}

static void without_tags_when_denied(void **state)
{
	struct deploy_result out;
	struct err e;

	(void)state;
	svc.faults[0] = (struct fault){
		"CreateModel",
		1,
		REFUSE,
		EACCES,
		400,
		"User: u is not authorized to perform: sagemaker:AddTags on resource: r"};
	assert_int_equal(create_iris(&out, &e), 0);
	assert_true(out.untagged);
	assert_int_equal(world_tags(MODEL, "smfs-iris-abcdefgh"), 0);
	assert_int_equal(world_tags(ENDPOINT, "iris"), 0);
	assert_string_equal(svc.log, "CreateModel CreateModel CreateEndpointConfig CreateEndpoint");
}

static void a_step_not_journaled_is_not_taken(void **state)
{
	struct deploy_result out;
	struct err e;

	(void)state;
	seen.refuse_at = DEPLOY_ENDPOINT;
	assert_int_equal(create_iris(&out, &e), -1);
	seen.refuse_at = 0;
	assert_int_equal(e.no, ENOSPC);
	assert_null(strstr(svc.log, "CreateEndpoint Delete"));
	nothing_left();
}

static void deletion(void **state)
{
	enum deploy_deletion out;
	struct deploy_result made;
	struct err e;

	(void)state;
	assert_int_equal(create_iris(&made, &e), 0);
	assert_int_equal(deploy_delete(NULL, "iris", &out, NULL, &e), 0);
	assert_int_equal(out, DEPLOY_REFUSED);
	assert_non_null(strstr(svc.log, "AddTags"));
	struct thing *t = world_find(ENDPOINT, "iris");
	snprintf(t->status, sizeof t->status, "InService");
	assert_int_equal(deploy_delete(NULL, "iris", &out, NULL, &e), 0);
	assert_int_equal(out, DEPLOY_ACCEPTED);
	assert_int_equal(deploy_delete(NULL, "iris", &out, NULL, &e), 0); /* Deleting already */
	assert_int_equal(out, DEPLOY_ACCEPTED);
	assert_int_equal(deploy_release(NULL, "iris", "smfs-iris-abcdefgh", "smfs-iris-abcdefgh",
					NULL, &e),
			 0);
	assert_int_equal(world_count(CONFIG) + world_count(MODEL), 0);
	t->there = false;
	assert_int_equal(deploy_delete(NULL, "iris", &out, NULL, &e), 0);
	assert_int_equal(out, DEPLOY_GONE);
	assert_int_equal(deploy_release(NULL, "iris", "smfs-iris-abcdefgh", "smfs-iris-abcdefgh",
					NULL, &e),
			 0);
}

static void deletion_whose_reply_was_lost(void **state)
{
	enum deploy_deletion out;
	struct deploy_result made;
	struct err e;

	(void)state;
	assert_int_equal(create_iris(&made, &e), 0);
	snprintf(world_find(ENDPOINT, "iris")->status, 32, "InService");
	svc.faults[0] = (struct fault){"DeleteEndpoint", 1, LOSE_REPLY, ETIMEDOUT, 0, "no reply"};
	assert_int_equal(deploy_delete(NULL, "iris", &out, NULL, &e), 0);
	assert_int_equal(out, DEPLOY_ACCEPTED);
}

static void release_spares_what_is_not_ours_or_used(void **state)
{
	struct deploy_result made;
	struct thing *t;
	struct err e;

	(void)state;
	snprintf(world_add(CONFIG, "theirs")->ref, 64, "their-model");
	world_add(MODEL, "their-model");
	assert_int_equal(deploy_release(NULL, "iris", "theirs", "their-model", NULL, &e), 0);
	assert_int_equal(world_count(CONFIG) + world_count(MODEL), 2);

	setup(state);
	assert_int_equal(create_iris(&made, &e), 0);
	t = world_add(ENDPOINT, "other");
	snprintf(t->ref, sizeof t->ref, "smfs-iris-abcdefgh");
	assert_int_equal(deploy_release(NULL, "iris", "smfs-iris-abcdefgh", "smfs-iris-abcdefgh",
					NULL, &e),
			 0);
	assert_int_equal(world_count(CONFIG), 1);
	assert_int_equal(world_count(MODEL), 1);

	t->there = false;
	t = world_add(CONFIG, "theirs");
	snprintf(t->ref, sizeof t->ref, "smfs-iris-abcdefgh");
	assert_int_equal(deploy_release(NULL, "iris", "smfs-iris-abcdefgh", "smfs-iris-abcdefgh",
					NULL, &e),
			 0);
	assert_null(world_find(CONFIG, "smfs-iris-abcdefgh"));
	assert_int_equal(world_count(MODEL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(names, setup),
		cmocka_unit_test_setup(suffixes, setup),
		cmocka_unit_test_setup(creates_in_order, setup),
		cmocka_unit_test_setup(refusal_is_undone_newest_first, setup),
		cmocka_unit_test_setup(refused_model_undoes_nothing, setup),
		cmocka_unit_test_setup(failed_undo_is_appended, setup),
		cmocka_unit_test_setup(lost_replies_are_no_failures, setup),
		cmocka_unit_test_setup(refused_repetitions_are_no_failures, setup),
		cmocka_unit_test_setup(refused_repetitions_are_looked_for_later, setup),
		cmocka_unit_test_setup(lost_requests_are_undone, setup),
		cmocka_unit_test_setup(what_is_not_seen_yet_is_there, setup),
		cmocka_unit_test_setup(existing_is_compared, setup),
		cmocka_unit_test_setup(unknown_end_is_left_to_recover, setup),
		cmocka_unit_test_setup(late_visibility_is_waited_for, setup),
		cmocka_unit_test_setup(waiting_for_visibility_is_cancelled, setup),
		cmocka_unit_test_setup(the_users_tags_come_after_ours, setup),
		cmocka_unit_test_setup(without_tags_when_denied, setup),
		cmocka_unit_test_setup(a_step_not_journaled_is_not_taken, setup),
		cmocka_unit_test_setup(deletion, setup),
		cmocka_unit_test_setup(deletion_whose_reply_was_lost, setup),
		cmocka_unit_test_setup(release_spares_what_is_not_ours_or_used, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
