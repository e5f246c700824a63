/* aws_errors.h: AWS's failing replies (JSON, REST-XML, query XML, headers only) as struct err. Pure. */
#ifndef SAGEMAKER_AWS_ERRORS_H
#define SAGEMAKER_AWS_ERRORS_H

#include "sagemaker/aws_retry.h"
#include "sagemaker/http.h"

/* aws_error_read: fills *e from a reply that is no success, and says whether trying again makes sense. */
enum retry_class aws_error_read(const struct http_resp *r, struct err *e);

/* aws_may_have_acted: nobody said no, or only when the call was sent again: the first may have been carried out. */
bool aws_may_have_acted(const struct err *e);

/* is_web_page: whether n bytes of text begin as one. aws_page: whether the body is one, which no service of AWS answers, but something in
 * between that asks to sign in, or is sorry. */
bool is_web_page(const char *text, size_t n);
bool aws_page(const struct http_resp *r);

/* aws_error_in_success: whether the body of a 2xx is an <Error> document, or a web page. */
bool aws_error_in_success(const struct http_resp *r);

#endif
