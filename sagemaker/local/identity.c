/* identity.c: STS and IAM: one account, one role, consistent with run.json; AssumeRole gives temporary keys for it. */
#include "sagemaker/local/calls.h"
#include "sagemaker/local/session.h"
#include "sagemaker/sigv4.h"

#define TRUST                                                                                                                \
 "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"sagemaker.amazonaws.com\"}," \
 "\"Action\":\"sts:AssumeRole\"}]}"

#define OWN_SESSION   LOCAL_ROLE_NAME "/mount"
#define STS_XMLNS     "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\""
#define ROLE_ID       "AROALOCALBACKEND00000"
#define SESSION_MIN   900 /* seconds, AWS's limits of DurationSeconds */
#define SESSION_MAX   43200
#define SESSION_PLAIN 3600

static void get_caller_identity(struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4096);
	const char *who = r->auth.who[0] ? r->auth.who : OWN_SESSION;
	const char *session = strrchr(who, '/');

	buf_str(&b, "<GetCallerIdentityResponse " STS_XMLNS "><GetCallerIdentityResult>"
		    "<Arn>arn:aws:sts::" LOCAL_ACCOUNT ":assumed-role/");
	xml_text(&b, who, strlen(who));
	buf_str(&b, "</Arn><UserId>" ROLE_ID ":");
	xml_text(&b, session + 1, strlen(session + 1));
	buf_printf(
		&b,
		"</UserId><Account>" LOCAL_ACCOUNT "</Account></GetCallerIdentityResult>"
		"<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
		r->id);
	reply_body(r, 200, "text/xml", &b);
}

/* [\w+=,.@-]{2,64} */
static bool is_session_name(const char *s)
{
	size_t n = strlen(s);

	return n >= 2 && n <= 64 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-") ==
		       n;
}

/* The role's name in the ARN of a role of this account; NULL: another's. */
static const char *own_role(const char *arn)
{
	static const char prefix[] = "arn:aws:iam::" LOCAL_ACCOUNT ":role/";
	const char *name = arn && starts_with(arn, prefix) ? strrchr(arn, '/') : NULL;

	return name && name[1] ? name + 1 : NULL;
}

static void reply_session(struct request *r, const struct session *s)
{
	_cleanup_buf_ struct buf b = BUF_INIT(8192);
	char when[32];

	iso_time((double)s->expires, when);
	buf_str(&b, "<AssumeRoleResponse " STS_XMLNS "><AssumeRoleResult><AssumedRoleUser>"
		    "<Arn>arn:aws:sts::" LOCAL_ACCOUNT ":assumed-role/");
	xml_text(&b, s->who, strlen(s->who));
	buf_str(&b, "</Arn><AssumedRoleId>" ROLE_ID ":");
	xml_text(&b, strrchr(s->who, '/') + 1, strlen(strrchr(s->who, '/') + 1));
	buf_printf(
		&b,
		"</AssumedRoleId></AssumedRoleUser><Credentials><AccessKeyId>%s</AccessKeyId>"
		"<SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration>"
		"</Credentials></AssumeRoleResult>"
		"<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></AssumeRoleResponse>",
		s->access, s->secret, s->token, when, r->id);
	reply_body(r, 200, "text/xml", &b);
}

static void assume_role(struct request *r)
{
	const char *arn = request_arg(r, "RoleArn"), *name = request_arg(r, "RoleSessionName");
	const char *duration = request_arg(r, "DurationSeconds"), *role = own_role(arn);
	long seconds = duration ? strtol(duration, NULL, 10) : SESSION_PLAIN;
	struct session s;
	char who[160];
	struct err e;

	if (!arn || !name || !is_session_name(name)) {
		reply_error(
			r, 400, "ValidationError",
			"1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: Member must "
			"satisfy regular expression pattern: [\\w+=,.@-]*");
	} else if (seconds < SESSION_MIN || seconds > SESSION_MAX) {
		reply_error(
			r, 400, "ValidationError",
			"1 validation error detected: Value '%ld' at 'durationSeconds' failed to satisfy constraint: Member "
			"must have value between %d and %d",
			seconds, SESSION_MIN, SESSION_MAX);
	} else if (!role) {
		reply_error(r, 403, "AccessDenied",
			    "User: arn:aws:sts::" LOCAL_ACCOUNT ":assumed-role/" OWN_SESSION
			    " is not authorized to perform: sts:AssumeRole on resource: %.300s",
			    arn);
	} else {
		snprintf(who, sizeof who, "%.64s/%s", role, name);
		if (session_make(r->be, who, seconds, &s, &e) < 0)
			reply_failure(r, &e);
		else
			reply_session(r, &s);
		explicit_bzero(&s, sizeof s);
	}
}

static void get_role(struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT(8192);
	const char *name = request_arg(r, "RoleName");

	if (!name || !streq(name, LOCAL_ROLE_NAME)) {
		reply_error(r, 404, "NoSuchEntity", "The role with name %s cannot be found.",
			    name ? name : "");
		return;
	}
	buf_str(&b,
		"<GetRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><GetRoleResult><Role>"
		"<Path>/service-role/</Path><RoleName>" LOCAL_ROLE_NAME
		"</RoleName><RoleId>AROALOCALBACKEND00000</RoleId>"
		"<Arn>" LOCAL_ROLE_ARN
		"</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>");
	if (uri_encode(TRUST, strlen(TRUST), false, &b) < 0)
		b.failed = true;
	buf_printf(
		&b,
		"</AssumeRolePolicyDocument><MaxSessionDuration>3600</MaxSessionDuration></Role></GetRoleResult>"
		"<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></GetRoleResponse>",
		r->id);
	reply_body(r, 200, "text/xml", &b);
}

void query_call(struct request *r)
{
	static const struct {
		const char *service, *action;
		void (*handler)(struct request *r);
	} rows[] = {
		{"sts", "GetCallerIdentity", get_caller_identity},
		{"sts", "AssumeRole",        assume_role        },
		{"iam", "GetRole",           get_role           },
	};

	if (r->body.len && request_parse_args(r, buf_cstr(&r->body), true) < 0) {
		reply_error(r, 400, "MalformedQueryString", "the form is malformed");
		return;
	}
	const char *action = request_arg(r, "Action");
	for (size_t i = 0; action && i < ARRAY_SIZE(rows); i++) {
		if (streq(rows[i].action, action) && streq(rows[i].service, r->auth.service)) {
			rows[i].handler(r);
			return;
		}
	}
	reply_error(r, 400, "InvalidAction", "Could not find operation %s",
		    action ? action : "(none)");
}
