/* calls.h: the handlers that routes.c names, one per AWS call. Each makes r's reply. */
#ifndef SAGEMAKER_LOCAL_CALLS_H
#define SAGEMAKER_LOCAL_CALLS_H

#include "sagemaker/local/request.h"

/* buckets.c */
void s3_list_buckets(struct request *r);
void s3_create_bucket(struct request *r);
void s3_head_bucket(struct request *r);
void s3_delete_bucket(struct request *r);
void s3_get_location(struct request *r);
/* bucket_settings.c */
void s3_get_setting(struct request *r);
void s3_put_setting(struct request *r);
void s3_delete_setting(struct request *r);
void s3_get_acl(struct request *r);
void s3_put_acl(struct request *r);
/* objects_write.c, objects_delete.c, objects_copy.c, objects_read.c, objects_attributes.c, objects_tags.c, objects_list.c */
void s3_put_object(struct request *r);
void s3_post_object(struct request *r);
void s3_delete_object(struct request *r);
void s3_delete_objects(struct request *r);
void s3_copy_object(struct request *r);
void s3_copy_part(struct request *r);
void s3_get_object(struct request *r);
void s3_head_object(struct request *r);
void s3_get_attributes(struct request *r);
void s3_get_tags(struct request *r);
void s3_put_tags(struct request *r);
void s3_delete_tags(struct request *r);
void s3_list_objects(struct request *r);
/* multipart.c, multipart_complete.c, multipart_list.c */
void s3_create_multipart(struct request *r);
void s3_upload_part(struct request *r);
void s3_complete_multipart(struct request *r);
void s3_abort_multipart(struct request *r);
void s3_list_parts(struct request *r);
void s3_list_uploads(struct request *r);
/* async.c */
void rt_invoke_async(struct request *r);
/* control.c, tags.c */
void sm_create_model(struct request *r);
void sm_describe_model(struct request *r);
void sm_list_models(struct request *r);
void sm_delete_model(struct request *r);
void sm_create_config(struct request *r);
void sm_describe_config(struct request *r);
void sm_list_configs(struct request *r);
void sm_delete_config(struct request *r);
void sm_add_tags(struct request *r);
void sm_list_tags(struct request *r);
void sm_delete_tags(struct request *r);
/* endpoint_calls.c */
void sm_create_endpoint(struct request *r);
void sm_describe_endpoint(struct request *r);
void sm_list_endpoints(struct request *r);
void sm_delete_endpoint(struct request *r);
void sm_update_endpoint(struct request *r);
void sm_update_weights(struct request *r);
/* proxy.c, proxy_stream.c */
void rt_invoke(struct request *r);
void rt_invoke_stream(struct request *r);
/* log_calls.c, log_events.c */
void logs_describe_groups(struct request *r);
void logs_describe_streams(struct request *r);
void logs_get_events(struct request *r);
void logs_filter_events(struct request *r);
/* metric_calls.c, metric_data.c, metric_wire.c */
void metrics_get_statistics(struct request *r);
void metrics_list(struct request *r);
void metrics_get_data(struct request *r);
void metrics_query(struct request *r);
/* scaling_calls.c */
void scaling_register(struct request *r);
void scaling_deregister(struct request *r);
void scaling_describe_targets(struct request *r);
void scaling_put_policy(struct request *r);
void scaling_delete_policy(struct request *r);
void scaling_describe_policies(struct request *r);
/* identity.c */
void query_call(struct request *r);

#endif
