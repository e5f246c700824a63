"""Where another server does not do as AWS: why, and the cases in which it shows. A case that is listed must fail there.

AWS's side is documented in the S3 API reference (A), the S3 user guide (G) or botocore's model and code (B).
"""


def by_case(table):
    return {name: why for why, names in table.items() for name in names}


FILES = "its objects are files: a name cannot be a file and a folder at once, folders hold no bytes, '.' and '..' are the system's"
NOT_THERE = "it does not have this call"
NO_SIGV2 = "it has no Version 2 signatures; boto3 presigns with them unless told otherwise (B: HmacV1QueryAuth)"
OWN_HOSTS = "it does not look at host names as we do; AWS has none of these hosts: our rule alone"

VERSITYGW = by_case({
    FILES: ["key_kept[slashes]", "odd_key_kept[dot]", "odd_key_kept[first_slash]", "odd_key_kept[only_dots]", "odd_key_kept[long_1024]",
            "object_and_folder_of_one_name", "folder_with_bytes", "list_order_is_of_bytes"],
    NOT_THERE: ["setting_is_absent[lifecycle]", "setting_is_absent[replication]", "setting_is_empty[logging]",
                "setting_is_empty[notification]", "setting_is_empty[accelerate]", "request_payment", "public_access_block",
                "bucket_encryption", "no_such_key[acl]", "object_acl"],
    NO_SIGV2: ["presigned_get_and_put[v2]", "presigned_with_arguments[v2]", "presigned_list[v2]", "presigned_spoiled[v2]",
               "presigned_expired[v2]"],
    OWN_HOSTS: ["host_names[service]", "host_names[region]", "host_names[other_machine]", "host_names[rebound]", "host_names[suffix]"],
    "409 also in us-east-1, where AWS answers 200 (A: CreateBucket)": ["create_again_is_fine_in_us_east_1"],
    "it takes names that G's bucket naming rules forbid": ["bucket_name_refused[dots]", "bucket_name_refused[xn]",
                                                           "bucket_name_refused[alias]"],
    "versioning needs a start option there; its code differs": ["versioning_is_refused"],
    "it takes a '?' that is encoded in the source for the beginning of ?versionId": ["copy_from_key[query]"],
    "304 where A: CopyObject has 412": ["copy_if[none_same]"],
    "it takes 'bytes=1-'; A: UploadPartCopy wants first and last": ["part_copy_bad_range[open]"],
    "NextMarker also without a delimiter (A: ListObjects)": ["list_v1_marker"],
    "unknown encoding types are ignored (A: EncodingType is 'url')": ["list_wrong_encoding"],
    "a page of versions begins with the last one of the page before": ["list_version_pages"],
    "the parts are looked at before the upload": ["no_such_upload[complete]"],
    "it takes no upload-id-marker of its own listing": ["list_uploads_pages"],
    "it keeps no list of parts (A: GetObjectAttributes)": ["composite_checksum[CRC32]", "composite_checksum[CRC32C]",
                                                           "composite_checksum[SHA1]", "composite_checksum[SHA256]"],
    "one ETag only; HTTP has a list (RFC 9110, 13.1.1)": ["read_if_etag[match_list]"],
    "it compares fractions of seconds, which Last-Modified does not have": ["read_if_date[modified_now]",
                                                                            "read_if_date[unmodified_now]"],
    "storage classes are not kept": ["storage_class"],
    "encryption headers are ignored, SSE-C ones too": ["encryption_header", "customer_keys_are_refused"],
    "<Quiet> is ignored (A: DeleteObjects)": ["batch_delete_quietly"],
    "from 1 to 1000 keys (A: DeleteObjects) are not checked": ["batch_delete_of_too_many", "batch_delete_of_none"],
    "'null' is no version there without versioning (G: version 'null')": ["version_null"],
    "'aws-chunked' stays in Content-Encoding when there is another one": ["chunked_content_encoding_is_not_kept"],
    "it takes what is not in the schema": ["malformed_xml[batch]", "malformed_xml[tags_other]"],
    "another code for a document type": ["document_types_are_refused"],
    "the signature is what it finds wrong": ["key_that_is_not_utf8"],
    "it asks for the body before it looks at the signature": ["expect_continue_refused"],
    "its refusal is not XML": ["two_mechanisms"],
})
