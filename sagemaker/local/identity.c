/* identity.c: STS GetCallerIdentity and IAM GetRole: one identity, one role, consistent with run.json. */
#include "sagemaker/local/calls.h"
#include "sagemaker/sigv4.h"

#define TRUST                                                                                                                \
 "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"sagemaker.amazonaws.com\"}," \
 "\"Action\":\"sts:AssumeRole\"}]}"

static void get_caller_identity(struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4096);

	buf_printf(
		&b,
		"<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>"
		"<Arn>arn:aws:sts::" LOCAL_ACCOUNT ":assumed-role/" LOCAL_ROLE_NAME "/mount</Arn>"
		"<UserId>AROALOCALBACKEND00000:mount</UserId><Account>" LOCAL_ACCOUNT
		"</Account></GetCallerIdentityResult>"
		"<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
		r->id);
	reply_body(r, 200, "text/xml", &b);
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
