/*
 * faults.h: what tests ask the backend to do wrong: rows {operation, nth, action, arg} in a JSON file that is read again
 * when it changes (docs/local-backend.md). Only with `faults` in local_options or SAGEMAKERFS_FAULTS=1.
 */
#ifndef SAGEMAKER_LOCAL_FAULTS_H
#define SAGEMAKER_LOCAL_FAULTS_H

#include "sagemaker/local/request.h"

struct faults;

/* faults_new: watches FILE ("FILE" or "@FILE"), or DIR/faults.json, into which JSON text is written first. EINVAL: not JSON. */
struct faults *faults_new(struct backend *be, const char *spec, struct err *e) _must_check_;
/* faults_free: what is withheld is let go first. */
void faults_free(struct faults *f);

/* faults_before: the call is not to be made: its reply is. */
bool faults_before(struct faults *f, struct request *r);
/* faults_hold: the reply is made; true: it is kept, request_done() follows later. */
bool faults_hold(struct faults *f, struct request *r);

#endif
