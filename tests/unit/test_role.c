/* The execution role: which of the places that may name one wins, what is asked for it, what is said when there is none. */
#include "scratch.h"

#include "sagemaker/iam.h"
#include "sagemaker/role.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/trust.h"
#include "web_script.h"

#define ACCOUNT "123456789012"
#define ARN     "arn:aws:iam::" ACCOUNT ":role/"
#define TRUST                                                                                     \
 "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"sagemaker.amazonaws.com\"}," \
 "\"Action\":\"sts:AssumeRole\"}]}"
#define NO_TRUST                                                                            \
 "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"ec2.amazonaws.com\"}," \
 "\"Action\":\"sts:AssumeRole\"}]}"

static const struct identity SESSION = {ACCOUNT, "arn:aws:sts::" ACCOUNT ":assumed-role/My/s"};
static const struct identity USER = {ACCOUNT, "arn:aws:iam::" ACCOUNT ":user/me"};

/* A service that knows roles by name: what it says to each call is a row. */
struct reply {
	const char *call, *body; /* a part of the request; NULL: any */
	int status;
};

struct world {
	const struct reply *rows;
	struct buf seen;
};

static void put_role(struct buf *b, const char *arn, const char *trust)
{
	buf_printf(b, "<Path>/x/</Path><Arn>%s</Arn><AssumeRolePolicyDocument>", arn);
	assert_int_equal(uri_encode(trust, strlen(trust), false, b), 0);
	buf_str(b, "</AssumeRolePolicyDocument>");
}

static void get_role_reply(struct buf *b, const char *arn, const char *trust)
{
	buf_str(b, "<GetRoleResponse><GetRoleResult><Role>");
	put_role(b, arn, trust);
	buf_str(b, "</Role></GetRoleResult></GetRoleResponse>");
}

static void answer(void *arg, const struct web_request *q, struct web_reply *r)
{
	struct world *w = arg;
	const char *target = http_header_get(&q->headers, "X-Amz-Target");

	buf_printf(&w->seen, "%s%s\n", target ? target : "", buf_cstr(&q->body));
	for (const struct reply *row = w->rows; row->body; row++) {
		if (row->call && !strstr(buf_cstr(&q->body), row->call) &&
		    !(target && strstr(target, row->call)))
			continue;
		r->status = row->status;
		if (row->body[0] ==
		    '!') /* "!ARN": a role that trusts SageMaker, "?ARN": one that does not */
			get_role_reply(&r->body, row->body + 1, TRUST);
		else if (row->body[0] == '?')
			get_role_reply(&r->body, row->body + 1, NO_TRUST);
		else
			buf_str(&r->body, row->body);
		return;
	}
	r->status = 400;
	buf_str(&r->body, "{\"__type\":\"UnknownOperationException\",\"message\":\"unexpected\"}");
}

#define DENIED                                                                           \
 {                                                                                       \
  "GetRole",                                                                             \
	  "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error>" \
	  "</ErrorResponse>",                                                            \
	  403                                                                            \
 }

struct expectation {
	const struct identity *id;
	const char *set, *config; /* a model's own setting; the mount's */
	const char *metadata;     /* the text of SageMaker's file */
	struct reply rows[4];
	const char *role, *says; /* either */
	const char *asked;       /* a part of what was asked, "": nothing was */
};

static bool says_what_to_do(const char *text)
{
	static const char *const ways[] = {"sagemakerfs doctor", "takes the form",
					   "look up the execution role"};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (strstr(text, ways[i]))
			return true;
	}
	return false;
}

static void check_asked(const char *expected, const struct buf *seen)
{
	if (!expected)
		return;
	if (*expected ? !strstr(buf_cstr(seen), expected) : seen->len)
		fail_msg("asked '%s'", buf_cstr(seen));
}

static void check_role(const struct expectation *x, int rc, const char *role, const struct err *e)
{
	if (x->role) {
		if (rc)
			fail_msg("%s", e->text);
		assert_string_equal(role, x->role);
		return;
	}
	assert_int_equal(rc, -1);
	if (!strstr(e->text, x->says) || !says_what_to_do(e->text))
		fail_msg("'%s' instead of '%s'", e->text, x->says);
}

static void run(const struct expectation *x)
{
	struct scratch _cleanup_scratch_ d;
	struct world w = {x->rows, BUF_INIT(0)};
	struct aws_fixture f;
	struct err e = {0};
	char role[512] = "";

	scratch_make(&d);
	if (x->metadata)
		scratch_text(&d, "m", x->metadata);
	aws_begin_with(&f, answer, &w);
	f.config.metadata_file = str_printf("%s/m", d.path);
	f.config.role = x->config ? strdup(x->config) : NULL;
	int rc = role_find(f.a, x->id, x->set, role, NULL, &e);
	(void)web_requests(f.w); /* orders what follows after the server's writes */
	check_role(x, rc, role, &e);
	check_asked(x->asked, &w.seen);
	aws_end(&f);
	buf_release(&w.seen);
}

static void settings(void **state)
{
	static const struct expectation rows[] = {
  /* The model's own goes before the mount's; ARNs and paths are taken as they are. */
		{&USER, ARN "own",        ARN "mount",       NULL, {{0}},                                ARN "own",            NULL,                                                                ""       },
		{&USER, "",               ARN "mount",       NULL, {{0}},                                ARN "mount",          NULL,                                                                ""       },
		{&USER, NULL,             "/service-role/x", NULL, {{0}},                                ARN "service-role/x", NULL,                                                                ""       },
 /* A name's path is asked for, as the SDK's expand_role does. */
		{&USER,
		 "x",		     NULL,
		 NULL,					     {{"RoleName=x", "!" ARN "p/x", 200}},
		 ARN "p/x",
		 NULL,																					      "GetRole"},
		{&USER, "x",              NULL,              NULL, {DENIED},                             ARN "x",              NULL,                                                                "GetRole"},
		{&USER,
		 "x",		     NULL,
		 NULL,					     {{"RoleName=x", "?" ARN "p/x", 200}},
		 NULL,													 "execution role 'x' does not let sagemaker.amazonaws.com assume it",
		 "GetRole"																						   },
		{&USER,
		 "x",		     NULL,
		 NULL,					     {{"GetRole",
		   "<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>cannot be found</Message></Error></ErrorResponse>",
		   404}},
		 NULL,													 "look up the execution role 'x': cannot be found",
		 NULL																							},
		{&USER,
		 "arn:aws:iam::1:user/x", NULL,
		 NULL,					     {{0}},
		 NULL,													 "is no execution role",
		 ""																							  },
		{&USER, "a b",            NULL,              NULL, {{0}},                                NULL,                 "'a b' is no execution role",                                        ""       },
		{&USER, "p/",             NULL,              NULL, {{0}},                                NULL,                 "'p/' is no execution role",                                         ""       },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		run(&rows[i]);
}

static void caller(void **state)
{
	static const struct expectation rows[] = {
		{&SESSION,
		 NULL,           NULL,
		 NULL,		       {{"RoleName=My", "!" ARN "p/My", 200}},
		 ARN "p/My",
		 NULL,																							   "RoleName=My"},
		{&SESSION,
		 NULL,           NULL,
		 NULL,		       {{"RoleName=My", "?" ARN "p/My", 200}},
		 NULL,								     "no execution role: the caller's role 'My' does not let sagemaker.amazonaws.com assume it; set one with -o role=ARN",
		 NULL																									 },
 /* The SDK would put an ARN together here. */
		{&SESSION,
		 NULL,           NULL,
		 NULL,		       {DENIED},
		 NULL,								     "no execution role: look up the caller's role 'My': no; missing permission: iam:GetRole; set one with -o role=ARN, "
		 "SAGEMAKER_ROLE_ARN or \"role\" in sagemaker.json",														       NULL         },
		{&USER,    NULL, NULL, NULL, {{0}},                                  NULL, "is not a role; set one with",											""           },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		run(&rows[i]);
}

#define STUDIO "{\"DomainId\":\"d-1\",\"UserProfileName\":\"me\",\"ResourceArn\":\"arn:x\"}"
#define SPACE  "{\"DomainId\":\"d-1\",\"SpaceName\":\"s\"}"

static const struct expectation places[] = {
	{&SESSION,
	 NULL,	   NULL,
	 "{\"ExecutionRoleArn\":\"" ARN "m\",\"DomainId\":\"d\"}",
	 {{0}},
	 ARN "m",
	 NULL,																												   ""								   },
	{&SESSION,
	 NULL,	   NULL,
	 "{\"ResourceName\":\"nb\",\"ResourceArn\":\"a\"}",        {{"DescribeNotebookInstance", "{\"RoleArn\":\"" ARN "n\"}", 200}},
	 ARN "n",
	 NULL,																												   "SageMaker.DescribeNotebookInstance{\"NotebookInstanceName\":\"nb\"}"},
	{&SESSION,
	 NULL,	   NULL,
	 STUDIO,						   {{"DescribeUserProfile", "{\"UserSettings\":{\"ExecutionRole\":\"" ARN "u\"}}", 200}},
	 ARN "u",
	 NULL,																												   "{\"DomainId\":\"d-1\",\"UserProfileName\":\"me\"}"                  },
	{&SESSION,
	 NULL,	   NULL,
	 STUDIO,						   {{"DescribeUserProfile", "{\"UserSettings\":{}}", 200},
	  {"DescribeDomain",
	   "{\"DefaultUserSettings\":{\"ExecutionRole\":\"" ARN
	   "d\"},\"DefaultSpaceSettings\":{\"ExecutionRole\":\"" ARN "s\"}}",
	   200}},
	 ARN "d",
	 NULL,																												   "DescribeDomain{\"DomainId\":\"d-1\"}"                               },
	{&SESSION,
	 NULL,	   NULL,
	 SPACE,						    {{"DescribeDomain",
	   "{\"DefaultUserSettings\":{\"ExecutionRole\":\"" ARN
	   "d\"},\"DefaultSpaceSettings\":{\"ExecutionRole\":\"" ARN "s\"}}",
	   200}},
	 ARN "s",
	 NULL,																												   NULL								 },
	{&SESSION,
	 NULL,	   NULL,
	 SPACE,						    {{"DescribeDomain", "{\"DefaultUserSettings\":{\"ExecutionRole\":\"" ARN "d\"}}", 200}},
	 ARN "d",
	 NULL,																												   NULL								 },
 /* What was set goes before; what fails there is told when the caller's role is none either. */
	{&SESSION, NULL, ARN "mount", STUDIO,                      {{0}},										   ARN "mount", NULL,                                                                   ""                                                                   },
	{&SESSION,
	 NULL,	   NULL,
	 "{\"ResourceName\":\"nb\"}",			      {{"DescribeNotebookInstance", "{\"__type\":\"AccessDeniedException\",\"message\":\"no\"}",
	   400},
	  {"RoleName=My", "!" ARN "My", 200}},
	 ARN "My",
	 NULL,																												   NULL								 },
	{&USER,
	 NULL,	   NULL,
	 "{\"ResourceName\":\"nb\"}",			      {{"DescribeNotebookInstance", "{\"__type\":\"AccessDeniedException\",\"message\":\"no\"}",
	   400}},
	 NULL,																			   "missing permission: sagemaker:DescribeNotebookInstance; set one with",
	 NULL																																					 },
	{&USER,    NULL, NULL,        "{",                         {{0}},										   NULL,        "is not JSON; set one with",                                            ""                                                                   },
	{&USER,
	 NULL,	   NULL,
	 "{\"ExecutionRoleArn\":\"arn:x\"}",		       {{0}},
	 NULL,																			   "leads to 'arn:x', which is no role",
	 ""																																					   },
	{&USER,    NULL, NULL,        "{}",                        {{0}},										   NULL,        "is not a role; set one with",                                          ""                                                                   },
};

static void inside_sagemaker(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		run(&places[i]);
}

#define S(effect, rest) "{\"Effect\":\"" effect "\",\"Action\":\"sts:AssumeRole\"," rest "}"
#define US              "\"Principal\":{\"Service\":\"sagemaker.amazonaws.com\"}"

static void trust_policies(void **state)
{
	static const struct {
		const char *policy;
		bool admits;
	} rows[] = {
		{"{\"Statement\":" S("Allow",							     US) "}",                                                     true},
		{"{\"Statement\":[" S("Allow",										       US) "]}",														       true},
		{"{\"Statement\":" S(
			 "Allow",										   "\"Principal\":{\"Service\":[\"ec2.amazonaws.com\",\"sagemaker.amazonaws.com\"]}") "}",
		 true},
		{"{\"Statement\":" S("Allow",
                 "\"Principal\":{\"Service\":\"ec2.amazonaws.com\"}") "}",
		 false},
		{"{\"Statement\":" S(
			 "Allow",							     "\"Principal\":{\"Service\":\"sagemaker.amazonaws.com.cn\"}") "}",
		 true},
		{"{\"Statement\":" S("Allow",										       "\"Principal\":\"*\"") "}",														   true},
		{"{\"Statement\":" S("Allow",										    "\"Principal\":{\"AWS\":\"*\"}") "}",																	       false},
		{"{\"Statement\":" S(
			 "Allow","\"Principal\":{\"AWS\":[\"arn:aws:iam::1:root\"],\"Service\":\"sagemaker.amazonaws.com\"}") "}",
		 true},
		{"{\"Statement\":" S(
			 "Allow",							     US ",\"Condition\":{\"StringEquals\":{\"aws:SourceAccount\":\"1\"}}") "}",
		 true},
		{"{\"Statement\":[" S("Allow",										       US) "," S("Deny",														   US) "]}", false},
		{"{\"Statement\":[" S("Deny",										    "\"Principal\":\"*\"") "," S("Allow",																	       US) "]}",
		 false},
		{"{\"Statement\":[" S("Allow",US) "," S(
			 "Deny",																		 US ",\"Condition\":{\"Bool\":{\"aws:SecureTransport\":\"false\"}}") "]}",
		 true},
		{"{\"Statement\":[" S("Allow",							    US) "," S(
			 "Deny",                 "\"NotPrincipal\":{\"Service\":\"sagemaker.amazonaws.com\"}") "]}",
		 true},
		{"{\"Statement\":[" S("Allow",										  US) "," S(
			 "Deny",																	     "\"NotPrincipal\":{\"AWS\":\"arn:aws:iam::1:root\"}") "]}",
		 false},
		{"{\"Statement\":{\"Effect\":\"Allow\",\"Action\":[\"sts:TagSession\",\"sts:assume*\"]," US
		 "}}",true},
		{"{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"sts:TagSession\"," US "}}",
		 false														      },
		{"{\"Statement\":{\"Effect\":\"Allow\",\"NotAction\":\"sts:AssumeRole\"," US "}}",
		 false																		},
		{"{\"Statement\":{\"Effect\":\"Allow\"," US "}}",                                                            false											},
		{"{\"Statement\":[]}",										    false																	      },
		{"{}",							 false},
		{"no JSON",										       false															     },
		{"{\"Statement\":[1,null,\"x\"]}",										       false																								 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (trust_admits(rows[i].policy, strlen(rows[i].policy), "amazonaws.com.cn") !=
		    rows[i].admits)
			fail_msg("%s", rows[i].policy);
	}
}

struct listed {
	int all, good;
};

static void count_role(void *arg, const struct iam_role *role)
{
	struct listed *l = arg;

	l->all++;
	l->good += role->trusts_sagemaker && starts_with(role->arn, ARN "good");
}

/* Pages of two roles for ever, or three pages. */
static void list_pages(void *arg, const struct web_request *q, struct web_reply *r)
{
	const int *pages = arg;

	buf_str(&r->body, "<ListRolesResponse><ListRolesResult><Roles><member>");
	put_role(&r->body, ARN "good", TRUST);
	buf_str(&r->body,
		"<Tags><member><Key>k</Key><Value>v</Value></member></Tags></member><member>");
	put_role(&r->body, ARN "other", NO_TRUST);
	buf_str(&r->body, "</member></Roles>");
	if (q->n > 1)
		assert_non_null(strstr(buf_cstr(&q->body), "&Marker=m%2F"));
	if (q->n != *pages)
		buf_printf(&r->body, "<IsTruncated>true</IsTruncated><Marker>m/%d</Marker>", q->n);
	buf_str(&r->body, "</ListRolesResult></ListRolesResponse>");
}

static void lists(void **state)
{
	static int pages[] = {2, 1000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		struct listed found = {0};
		struct aws_fixture f;
		struct err e = {0};
		bool more = true;

		aws_begin_with(&f, list_pages, &pages[i]);
		assert_int_equal(iam_list_roles(f.a, count_role, &found, &more, NULL, &e), 0);
		int asked = MIN(pages[i], 3);
		assert_int_equal(web_requests(f.w), asked);
		assert_int_equal(found.all, 2 * asked);
		assert_int_equal(found.good, asked);
		assert_int_equal(more, pages[i] > 3);
		aws_end(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings),
		cmocka_unit_test(caller),
		cmocka_unit_test(inside_sagemaker),
		cmocka_unit_test(trust_policies),
		cmocka_unit_test(lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
