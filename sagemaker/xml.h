/*
 * xml.h: small XML replies (S3, STS, IAM), element by element. Hostile input is refused: document types, depth over 16,
 * text over 64 KiB in one element.
 */
#ifndef SAGEMAKER_XML_H
#define SAGEMAKER_XML_H

#include "sagemaker/err.h"

/* xml_scan: calls fn at the end of every element with its path ("ListBucketResult/Contents/Key") and the text directly in it
 * (never NULL). Non-zero from fn stops without an error. -1: not well-formed (EPROTO). */
typedef int xml_fn(void *arg, const char *path, const char *text);
int xml_scan(const void *p, size_t n, xml_fn *fn, void *arg, struct err *e) _must_check_;

#endif
