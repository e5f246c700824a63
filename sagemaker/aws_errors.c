#include "sagemaker/aws_errors.h"

#include <ctype.h>
#include <errno.h>

#include "sagemaker/json.h"
#include "sagemaker/xml.h"

/* What a code means to the caller of a file system. Codes that are not here take the row of their HTTP status; where a code's
 * row says RETRY_NEVER, the status still may say otherwise. */
static const struct {
	const char *code;
	int no;
	enum retry_class retry;
} codes[] = {
	{"AccessDenied",			   EACCES,    RETRY_NEVER      },
	{"AccessDeniedException",                  EACCES,    RETRY_NEVER      },
	{"AllAccessDisabled",                      EACCES,    RETRY_NEVER      },
	{"UnrecognizedClientException",            EACCES,    RETRY_NEVER      },
	{"InvalidClientTokenId",                   EACCES,    RETRY_NEVER      },
	{"InvalidAccessKeyId",                     EACCES,    RETRY_NEVER      },
	{"InvalidToken",			   EACCES,    RETRY_NEVER      },
	{"InvalidSignatureException",              EACCES,    RETRY_NEVER      },
	{"SignatureDoesNotMatch",                  EACCES,    RETRY_NEVER      },
	{"IncompleteSignature",                    EACCES,    RETRY_NEVER      },
	{"MissingAuthenticationToken",             EACCES,    RETRY_NEVER      },
	{"MissingAuthenticationTokenException",    EACCES,    RETRY_NEVER      },
	{"OptInRequired",			  EACCES,    RETRY_NEVER      },
	{"ExpiredToken",			   EACCES,    RETRY_CREDENTIALS},
	{"ExpiredTokenException",                  EACCES,    RETRY_CREDENTIALS},
	{"RequestExpired",                         EACCES,    RETRY_EXPIRED    },
	{"RequestInTheFuture",                     EACCES,    RETRY_CLOCK      },
	{"RequestTimeTooSkewed",                   EACCES,    RETRY_CLOCK      },
	{"ResourceNotFound",                       ENOENT,    RETRY_NEVER      },
	{"ResourceNotFoundException",              ENOENT,    RETRY_NEVER      },
	{"NoSuchKey",			      ENOENT,    RETRY_NEVER      },
	{"NoSuchBucket",			   ENOENT,    RETRY_NEVER      },
	{"NoSuchUpload",			   ENOENT,    RETRY_NEVER      },
	{"NoSuchEntity",			   ENOENT,    RETRY_NEVER      },
	{"ResourceInUse",			  EBUSY,     RETRY_NEVER      },
	{"ConflictException",                      EBUSY,     RETRY_NEVER      },
	{"OperationAborted",                       EBUSY,     RETRY_NEVER      },
	{"ConditionalRequestConflict",             ESTALE,    RETRY_TRANSIENT  },
	{"PreconditionFailed",                     ESTALE,    RETRY_NEVER      },
	{"ResourceAlreadyExists",                  EEXIST,    RETRY_NEVER      },
	{"BucketAlreadyExists",                    EEXIST,    RETRY_NEVER      },
	{"BucketAlreadyOwnedByYou",                EEXIST,    RETRY_NEVER      },
	{"ResourceLimitExceeded",                  EDQUOT,    RETRY_NEVER      },
	{"TooManyBuckets",                         EDQUOT,    RETRY_NEVER      },
	{"EntityTooLarge",                         EFBIG,     RETRY_NEVER      },
	{"MaxMessageLengthExceeded",               EFBIG,     RETRY_NEVER      },
	{"RequestEntityTooLarge",                  EFBIG,     RETRY_NEVER      },
	{"BadDigest",			      EIO,       RETRY_NEVER      },
	{"InvalidDigest",			  EIO,       RETRY_NEVER      },
	{"XAmzContentSHA256Mismatch",              EIO,       RETRY_NEVER      },
	{"PermanentRedirect",                      EXDEV,     RETRY_NEVER      },
	{"AuthorizationHeaderMalformed",           EXDEV,     RETRY_NEVER      },
	{"IllegalLocationConstraintException",     EXDEV,     RETRY_NEVER      },
	{"ValidationException",                    EINVAL,    RETRY_NEVER      },
	{"ValidationError",                        EINVAL,    RETRY_NEVER      },
	{"ModelError",			     EREMOTEIO, RETRY_NEVER      },
	{"ModelNotReadyException",                 EBUSY,     RETRY_THROTTLED  },
	{"NotImplemented",                         ENOTSUP,   RETRY_NEVER      },
	{"RequestTimeout",                         ETIMEDOUT, RETRY_TRANSIENT  },
	{"RequestTimeoutException",                ETIMEDOUT, RETRY_TRANSIENT  },
	{"IDPCommunicationError",                  EIO,       RETRY_TRANSIENT  },
	{"InternalError",			  EIO,       RETRY_NEVER      },
	{"InternalFailure",                        EIO,       RETRY_NEVER      },
	{"ServiceUnavailable",                     EBUSY,     RETRY_NEVER      },
	{"PriorRequestNotComplete",                EBUSY,     RETRY_THROTTLED  },
	{"Throttling",			     EBUSY,     RETRY_THROTTLED  },
	{"ThrottlingException",                    EBUSY,     RETRY_THROTTLED  },
	{"ThrottledException",                     EBUSY,     RETRY_THROTTLED  },
	{"RequestThrottledException",              EBUSY,     RETRY_THROTTLED  },
	{"TooManyRequestsException",               EBUSY,     RETRY_THROTTLED  },
	{"ProvisionedThroughputExceededException", EBUSY,     RETRY_THROTTLED  },
	{"TransactionInProgressException",         EBUSY,     RETRY_THROTTLED  },
	{"RequestLimitExceeded",                   EBUSY,     RETRY_THROTTLED  },
	{"BandwidthLimitExceeded",                 EBUSY,     RETRY_THROTTLED  },
	{"LimitExceededException",                 EBUSY,     RETRY_THROTTLED  },
	{"RequestThrottled",                       EBUSY,     RETRY_THROTTLED  },
	{"SlowDown",			       EBUSY,     RETRY_THROTTLED  },
	{"EC2ThrottledException",                  EBUSY,     RETRY_THROTTLED  },
};

/* SageMaker says several things under one code: the sentence tells them apart. */
static const struct {
	const char *code, *sentence;
	int no;
	enum retry_class retry;
} sentences[] = {
	{"ValidationException",       "Could not find ",                 ENOENT, RETRY_NEVER},
	{"ValidationException",       "Cannot create already existing ", EEXIST, RETRY_NEVER},
	{"ValidationException",       "Cannot update in-progress ",      EBUSY,  RETRY_NEVER},
	{"ValidationException",       "Could not access model data ",    EACCES, RETRY_NEVER},
	{"ValidationException",       "Could not assume role ",          EACCES, RETRY_NEVER},
	{"ValidationError",           " not found.",                     ENOENT, RETRY_NEVER},
	{"ValidationError",           "has no capacity",                 EBUSY,  RETRY_NEVER},
	{"InvalidSignatureException", "Signature expired",               EACCES, RETRY_CLOCK},
	{"InvalidSignatureException", "Signature not yet current",       EACCES, RETRY_CLOCK},
	{"SignatureDoesNotMatch",     "Signature expired",               EACCES, RETRY_CLOCK},
	{"SignatureDoesNotMatch",     "Signature not yet current",       EACCES, RETRY_CLOCK},
};

static const struct {
	long status;
	int no;
	enum retry_class retry;
	const char *what; /* when the service gave no words */
} statuses[] = {
	{301, EXDEV,     RETRY_NEVER,     "the bucket is in another region"         },
	{304, ESTALE,    RETRY_NEVER,     "not modified"                            },
	{307, EXDEV,     RETRY_NEVER,     "the bucket is in another region"         },
	{400, EINVAL,    RETRY_NEVER,     "the service refused the request"         },
	{401, EACCES,    RETRY_NEVER,     "access denied"                           },
	{403, EACCES,    RETRY_NEVER,     "access denied"                           },
	{404, ENOENT,    RETRY_NEVER,     "not found"                               },
	{409, EBUSY,     RETRY_NEVER,     "in conflict with another request"        },
	{412, ESTALE,    RETRY_NEVER,     "a condition of the request does not hold"},
	{413, EFBIG,     RETRY_NEVER,     "the request is too large"                },
	{416, EINVAL,    RETRY_NEVER,     "the range lies outside"                  },
	{429, EBUSY,     RETRY_CROWDED,   "too many requests"                       },
	{500, EIO,       RETRY_TRANSIENT, "the service failed"                      },
	{501, ENOTSUP,   RETRY_NEVER,     "the service does not know this request"  },
	{502, EIO,       RETRY_TRANSIENT, "the service failed"                      },
	{503, EBUSY,     RETRY_TRANSIENT, "the service is unavailable"              },
	{504, ETIMEDOUT, RETRY_TRANSIENT, "the service waited too long for another" },
};

/* Copies what came from the network into a sentence: one line, printable. */
static void set_clean(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++)
		out[n++] = (char)(iscntrl((unsigned char)*text) ? ' ' : *text);
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

/* "com.amazon.coral#ValidationException:http://..." -> "ValidationException" */
static void set_code(struct err *e, const char *text)
{
	const char *hash = strchr(text, '#');

	set_clean(e->code, sizeof e->code, hash ? hash + 1 : text);
	e->code[strcspn(e->code, ": ")] = '\0';
}

static void read_json(const struct http_resp *r, struct err *e)
{
	_cleanup_json_ cJSON *o = json_parse(r->body.data, r->body.len, NULL);
	const char *code = json_text(o, "__type"), *text = json_text(o, "message");

	if (!code)
		code = json_text(o, "code");
	if (!text)
		text = json_text(o, "Message");
	if (code && !e->code[0])
		set_code(e, code);
	if (text)
		set_clean(e->text, sizeof e->text, text);
}

/* REST-XML has <Error>, the query protocol <ErrorResponse><Error>. */
static int on_xml(void *arg, const char *path, const char *text)
{
	struct err *e = arg;

	if (starts_with(path, "ErrorResponse/"))
		path += strlen("ErrorResponse/");
	if (streq(path, "Error/Code"))
		set_code(e, text);
	else if (streq(path, "Error/Message"))
		set_clean(e->text, sizeof e->text, text);
	else if (streq(path, "Error/RequestId") || streq(path, "RequestId"))
		set_clean(e->request, sizeof e->request, text);
	return 0;
}

static void read_headers(const struct http_resp *r, struct err *e)
{
	static const char *const request_ids[] = {"x-amzn-RequestId", "x-amz-request-id"};
	const char *type = http_header_get(&r->headers, "x-amzn-ErrorType");

	if (type)
		set_code(e, type);
	for (size_t i = 0; i < ARRAY_SIZE(request_ids); i++) {
		const char *id = http_header_get(&r->headers, request_ids[i]);

		if (id)
			set_clean(e->request, sizeof e->request, id);
	}
}

/* Where the body's first character is that is no space; its length: nowhere. */
static size_t first_at(const struct http_resp *r)
{
	size_t i = 0;

	while (i < r->body.len && isspace((unsigned char)r->body.data[i]))
		i++;
	return i;
}

static char first_byte(const struct http_resp *r)
{
	size_t i = first_at(r);

	return (char)(i < r->body.len ? r->body.data[i] : '\0');
}

/* What is said of a permission comes from the same errno. */
static bool about_keys(const struct err *e)
{
	static const char *const permissions[] = {"AccessDenied", "AccessDeniedException",
						  "AllAccessDisabled", "OptInRequired"};

	for (size_t i = 0; i < ARRAY_SIZE(permissions); i++)
		if (streq(e->code, permissions[i]))
			return false;
	return true;
}

static void classify_code(struct err *e, enum retry_class *retry)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (!streq(codes[i].code, e->code))
			continue;
		e->no = codes[i].no;
		e->keys = e->no == EACCES && about_keys(e);
		*retry = codes[i].retry == RETRY_NEVER ? *retry : codes[i].retry;
	}
}

/* By status first, then by the code and the sentence, which know better. A 5xx is tried again whatever its code. */
static enum retry_class classify(struct err *e)
{
	enum retry_class retry = RETRY_NEVER;

	e->no = e->http >= 500 ? EIO : EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (statuses[i].status != e->http)
			continue;
		e->no = statuses[i].no;
		retry = statuses[i].retry;
		if (!e->text[0])
			snprintf(e->text, sizeof e->text, "%s", statuses[i].what);
	}
	classify_code(e, &retry);
	for (size_t i = 0; i < ARRAY_SIZE(sentences); i++) {
		if (!streq(sentences[i].code, e->code) || !strstr(e->text, sentences[i].sentence))
			continue;
		e->no = sentences[i].no;
		retry = sentences[i].retry;
	}
	if (!e->text[0])
		snprintf(e->text, sizeof e->text, "the service answered with HTTP status %ld",
			 e->http);
	return retry;
}

enum retry_class aws_error_read(const struct http_resp *r, struct err *e)
{
	err_clear(e);
	e->http = r->status;
	read_headers(r, e);
	switch (first_byte(r)) {
	case '{':
		read_json(r, e);
		break;
	case '<':
		/* What was read before the XML turned out broken stands. */
		if (xml_scan(r->body.data, r->body.len, on_xml, e, NULL))
			e->no = 0;
		break;
	default:
		break;
	}
	return classify(e);
}

static int find_error(void *arg, const char *path, const char *text)
{
	bool *found = arg;

	(void)text;
	*found = *found || streq(path, "Error/Code") || streq(path, "Error");
	return *found;
}

bool is_web_page(const char *text, size_t n)
{
	static const char *const begins[] = {"<html", "<!doctype html"};

	for (size_t k = 0; k < ARRAY_SIZE(begins); k++) {
		size_t len = strlen(begins[k]);

		if (n >= len && strncasecmp(text, begins[k], len) == 0)
			return true;
	}
	return false;
}

bool aws_page(const struct http_resp *r)
{
	size_t i = first_at(r);

	return i < r->body.len && is_web_page(r->body.data + i, r->body.len - i);
}

bool aws_error_in_success(const struct http_resp *r)
{
	bool found = false;

	if (aws_page(r))
		return true;
	return first_byte(r) == '<' &&
	       xml_scan(r->body.data, r->body.len, find_error, &found, NULL) == 0 && found;
}

bool aws_may_have_acted(const struct err *e)
{
	return e->http == 0 || e->http >= 500 || e->attempts > 1;
}
