// The AWS SDK for JavaScript version 3, unmodified on the local backend: what a program that hosts models does, and what it catches.
//
// usage: node sdk_js.mjs MODEL.tar.gz      AWS comes from the environment; the model server echoes (tests/data/echo-serve)
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import * as scaling from "@aws-sdk/client-application-auto-scaling";
import * as cw from "@aws-sdk/client-cloudwatch";
import * as logs from "@aws-sdk/client-cloudwatch-logs";
import * as iam from "@aws-sdk/client-iam";
import * as s3 from "@aws-sdk/client-s3";
import * as sm from "@aws-sdk/client-sagemaker";
import * as rt from "@aws-sdk/client-sagemaker-runtime";
import * as sts from "@aws-sdk/client-sts";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const ROLE = process.env.SAGEMAKER_ROLE_ARN;
const IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.19.0-cpu";
const BUCKET = "js-models";
const VARIANT = { VariantName: "AllTraffic", ModelName: "js", InstanceType: "ml.m5.large", InitialInstanceCount: 1 };
const QUICK = { maxWaitTime: 120, minDelay: 1, maxDelay: 1 };
const S3 = new s3.S3Client(), SM = new sm.SageMakerClient(), RT = new rt.SageMakerRuntimeClient();
const text = (bytes) => Buffer.from(bytes).toString();

let failed = 0;
async function check(name, fn) {
	try {
		await fn();
		console.log(`ok js: ${name}`);
	} catch (e) {
		failed++;
		console.log(`FAIL js: ${name}: ${String(e.stack ?? e).replaceAll("\n", " | ")} ${JSON.stringify(e.$metadata ?? {})}`);
	}
}

// It fails with an exception of that class, which has what `more` asks for.
async function throws(promise, type, more = () => true) {
	const e = await promise.then(() => assert.fail(`no ${type.name ?? type}`), (e) => e);
	assert.ok(typeof type === "string" ? e.name === type : e instanceof type, `${e.name}: ${e.message}`);
	assert.ok(more(e), `${e.name}: ${e.message} ${JSON.stringify(e)}`);
	assert.ok(e.$metadata.requestId, "no request id");
}

async function until(fn) {
	for (const end = Date.now() + 60000; Date.now() < end; await new Promise((r) => setTimeout(r, 100))) {
		const v = await fn().catch(() => null);
		if (v) return v;
	}
	assert.fail("it did not come");
}

async function all(pages) {
	const out = [];
	for await (const page of pages) out.push(page);
	return out;
}

const bytesOf = async (command) => Buffer.from(await (await S3.send(command)).Body.transformToByteArray());

async function buckets(model) {
	await check("CreateBucket", () => S3.send(new s3.CreateBucketCommand({ Bucket: BUCKET })));
	await check("BucketAlreadyOwnedByYou", () => // us-east-1 answers 200 to its owner
		S3.send(new s3.CreateBucketCommand({ Bucket: BUCKET })));
	await check("waitUntilBucketExists", () => s3.waitUntilBucketExists({ client: S3, ...QUICK }, { Bucket: BUCKET }));
	await check("ListBuckets", async () =>
		assert.ok((await S3.send(new s3.ListBucketsCommand({}))).Buckets.some((b) => b.Name === BUCKET && b.CreationDate instanceof Date)));
	await check("PutObject", async () => {
		const r = await S3.send(new s3.PutObjectCommand({ Bucket: BUCKET, Key: "js/model.tar.gz", Body: model, Metadata: { made: "here" } }));
		assert.equal(r.ETag, `"${createHash("md5").update(model).digest("hex")}"`);
		assert.ok(r.ChecksumCRC32);
	});
	await check("GetObject", async () => assert.ok(model.equals(await bytesOf(new s3.GetObjectCommand({ Bucket: BUCKET, Key: "js/model.tar.gz" })))));
	await check("GetObject of a range", async () => {
		const r = await S3.send(new s3.GetObjectCommand({ Bucket: BUCKET, Key: "js/model.tar.gz", Range: "bytes=2-5" }));
		assert.equal(r.ContentRange, `bytes 2-5/${model.length}`);
		assert.ok(model.subarray(2, 6).equals(Buffer.from(await r.Body.transformToByteArray())));
	});
	await check("HeadObject", async () => {
		const r = await S3.send(new s3.HeadObjectCommand({ Bucket: BUCKET, Key: "js/model.tar.gz", ChecksumMode: "ENABLED" }));
		assert.deepEqual([r.ContentLength, r.Metadata, r.ChecksumType], [model.length, { made: "here" }, "FULL_OBJECT"]);
		assert.ok(r.LastModified instanceof Date && r.ChecksumCRC32);
	});
	await check("HeadBucket", async () => assert.equal((await S3.send(new s3.HeadBucketCommand({ Bucket: BUCKET }))).BucketRegion, "us-east-1"));
}

async function uploads() {
	const big = randomBytes(11 << 20);
	for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]) {
		if (ChecksumAlgorithm === "CRC64NVME") continue; // an optional package of the SDK's
		await check(`lib-storage with ${ChecksumAlgorithm}`, async () => {
			const params = { Bucket: BUCKET, Key: "big", Body: Readable.from([big.subarray(0, 7000001), big.subarray(7000001)]), ChecksumAlgorithm };
			const seen = [];
			const up = new Upload({ client: S3, params, partSize: 5 << 20, queueSize: 2 });
			up.on("httpUploadProgress", (p) => seen.push(p.loaded));
			await up.done();
			assert.equal(Math.max(...seen), big.length);
			assert.ok(big.equals(await bytesOf(new s3.GetObjectCommand({ Bucket: BUCKET, Key: "big", ChecksumMode: "ENABLED" }))));
		});
	}
	await check("PutObject of a stream", async () => { // aws-chunked with a trailer
		const Body = Readable.from([big.subarray(0, 100000), big.subarray(100000, 200000)]);
		await S3.send(new s3.PutObjectCommand({ Bucket: BUCKET, Key: "stream", Body, ContentLength: 200000 }));
		assert.ok(big.subarray(0, 200000).equals(await bytesOf(new s3.GetObjectCommand({ Bucket: BUCKET, Key: "stream" }))));
	});
	await check("an upload that is given up", async () => {
		const { UploadId } = await S3.send(new s3.CreateMultipartUploadCommand({ Bucket: BUCKET, Key: "given up" }));
		const part = await S3.send(new s3.UploadPartCommand({ Bucket: BUCKET, Key: "given up", UploadId, PartNumber: 1, Body: "x" }));
		// Not its paginator, which takes the last page's NextPartNumberMarker for more of them, on AWS, too.
		const { Parts: parts } = await S3.send(new s3.ListPartsCommand({ Bucket: BUCKET, Key: "given up", UploadId }));
		assert.deepEqual([parts.length, parts[0].ETag], [1, part.ETag]);
		await S3.send(new s3.AbortMultipartUploadCommand({ Bucket: BUCKET, Key: "given up", UploadId }));
		await throws(S3.send(new s3.ListPartsCommand({ Bucket: BUCKET, Key: "given up", UploadId })), s3.NoSuchUpload);
	});
}

async function objects() {
	const strange = "a b/ü+&=%20'(x)*!~.txt";
	await check("a key with all that needs encoding", async () => {
		await S3.send(new s3.PutObjectCommand({ Bucket: BUCKET, Key: strange, Body: "strange", ContentType: "text/plain", Tagging: "a=b%20c" }));
		assert.equal(text(await bytesOf(new s3.GetObjectCommand({ Bucket: BUCKET, Key: strange }))), "strange");
	});
	await check("CopyObject", async () => {
		const r = await S3.send(new s3.CopyObjectCommand({ Bucket: BUCKET, Key: "copy", CopySource: encodeURI(`${BUCKET}/`) + encodeURIComponent(strange) }));
		assert.ok(r.CopyObjectResult.ETag && r.CopyObjectResult.LastModified instanceof Date);
		assert.equal(text(await bytesOf(new s3.GetObjectCommand({ Bucket: BUCKET, Key: "copy" }))), "strange");
	});
	await check("GetObjectTagging", async () =>
		assert.deepEqual((await S3.send(new s3.GetObjectTaggingCommand({ Bucket: BUCKET, Key: strange }))).TagSet, [{ Key: "a", Value: "b c" }]));
	await check("GetObjectAttributes", async () => {
		const r = await S3.send(new s3.GetObjectAttributesCommand({ Bucket: BUCKET, Key: "copy", ObjectAttributes: ["ETag", "ObjectSize", "Checksum"] }));
		assert.equal(r.ObjectSize, 7);
	});
	await check("ListObjectsV2 by pages", async () => {
		for (let i = 0; i < 7; i++) await S3.send(new s3.PutObjectCommand({ Bucket: BUCKET, Key: `list/${i}`, Body: `${i}` }));
		const pages = await all(s3.paginateListObjectsV2({ client: S3, pageSize: 3 }, { Bucket: BUCKET, Prefix: "list/" }));
		assert.deepEqual(pages.map((p) => p.Contents.length), [3, 3, 1]);
		const r = await S3.send(new s3.ListObjectsV2Command({ Bucket: BUCKET, Delimiter: "/" }));
		assert.ok(r.CommonPrefixes.some((p) => p.Prefix === "list/"));
		assert.deepEqual((await S3.send(new s3.ListObjectsV2Command({ Bucket: BUCKET, Prefix: "a b/", EncodingType: "url" }))).KeyCount, 1);
		assert.equal((await S3.send(new s3.ListObjectsV2Command({ Bucket: BUCKET, Prefix: "a b/" }))).Contents[0].Key, strange);
	});
	await check("If-None-Match: *", () =>
		throws(S3.send(new s3.PutObjectCommand({ Bucket: BUCKET, Key: "copy", Body: "x", IfNoneMatch: "*" })), "PreconditionFailed", (e) => e.$metadata.httpStatusCode === 412));
	await check("If-None-Match of the same", async () => {
		const { ETag } = await S3.send(new s3.HeadObjectCommand({ Bucket: BUCKET, Key: "copy" }));
		const e = await S3.send(new s3.GetObjectCommand({ Bucket: BUCKET, Key: "copy", IfNoneMatch: ETag })).then(() => null, (e) => e);
		assert.equal(e?.$metadata.httpStatusCode, 304);
	});
	await check("presigned GET and PUT", async () => {
		const put = await getSignedUrl(S3, new s3.PutObjectCommand({ Bucket: BUCKET, Key: "pre signed" }), { expiresIn: 60 });
		assert.equal((await fetch(put, { method: "PUT", body: "by URL" })).status, 200);
		const get = await getSignedUrl(S3, new s3.GetObjectCommand({ Bucket: BUCKET, Key: "pre signed", ResponseContentType: "text/css" }), { expiresIn: 60 });
		const r = await fetch(get);
		assert.deepEqual([r.status, r.headers.get("content-type"), await r.text()], [200, "text/css", "by URL"]);
		assert.equal((await fetch(get.replace(/Signature=..../, "Signature=0000"))).status, 403);
	});
	await check("NoSuchKey", () => throws(S3.send(new s3.GetObjectCommand({ Bucket: BUCKET, Key: "none" })), s3.NoSuchKey));
	await check("NotFound of a HEAD", () => throws(S3.send(new s3.HeadObjectCommand({ Bucket: BUCKET, Key: "none" })), s3.NotFound));
	await check("NoSuchBucket", () => throws(S3.send(new s3.ListObjectsV2Command({ Bucket: "js-none" })), s3.NoSuchBucket));
	await check("InvalidRange", () => throws(S3.send(new s3.GetObjectCommand({ Bucket: BUCKET, Key: "copy", Range: "bytes=99-" })), "InvalidRange"));
	await check("BadDigest", () => throws(S3.send(new s3.PutObjectCommand({ Bucket: BUCKET, Key: "bad", Body: "x", ChecksumCRC32: "AAAAAA==" })), "BadDigest"));
	await check("SignatureDoesNotMatch", () => {
		const wrong = new s3.S3Client({ credentials: { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: "wrong" } });
		return throws(wrong.send(new s3.ListBucketsCommand({})), "SignatureDoesNotMatch");
	});
}

async function identity() {
	const STS = new sts.STSClient();
	await check("GetCallerIdentity", async () => assert.equal((await STS.send(new sts.GetCallerIdentityCommand({}))).Account, "123456789012"));
	await check("AssumeRole", async () => {
		const { Credentials: c } = await STS.send(new sts.AssumeRoleCommand({ RoleArn: ROLE, RoleSessionName: "js" }));
		assert.ok(c.Expiration > new Date());
		const session = { accessKeyId: c.AccessKeyId, secretAccessKey: c.SecretAccessKey, sessionToken: c.SessionToken };
		await new s3.S3Client({ credentials: session }).send(new s3.HeadBucketCommand({ Bucket: BUCKET }));
		assert.match((await new sts.STSClient({ credentials: session }).send(new sts.GetCallerIdentityCommand({}))).Arn, /:assumed-role\/sagemakerfs-local\/js$/);
	});
	await check("GetRole", async () => {
		const { Role } = await new iam.IAMClient().send(new iam.GetRoleCommand({ RoleName: "sagemakerfs-local" }));
		assert.equal(Role.Arn, ROLE);
		assert.ok(Role.CreateDate instanceof Date && JSON.parse(decodeURIComponent(Role.AssumeRolePolicyDocument)).Statement);
	});
	await check("NoSuchEntity", () => throws(new iam.IAMClient().send(new iam.GetRoleCommand({ RoleName: "none" })), iam.NoSuchEntityException));
}

async function deploy() {
	await check("CreateModel", async () => {
		const r = await SM.send(new sm.CreateModelCommand({ ModelName: "js", ExecutionRoleArn: ROLE, Tags: [{ Key: "team", Value: "js" }],
			PrimaryContainer: { Image: IMAGE, ModelDataUrl: `s3://${BUCKET}/js/model.tar.gz`, Environment: { WORD: "ü" } } }));
		assert.match(r.ModelArn, /:model\/js$/);
	});
	await check("DescribeModel", async () => {
		const r = await SM.send(new sm.DescribeModelCommand({ ModelName: "js" }));
		assert.deepEqual([r.PrimaryContainer.Environment, r.ExecutionRoleArn], [{ WORD: "ü" }, ROLE]);
		assert.ok(r.CreationTime instanceof Date);
	});
	await check("CreateEndpointConfig", async () => {
		const AsyncInferenceConfig = { OutputConfig: { S3OutputPath: `s3://${BUCKET}/answers/` } };
		for (const EndpointConfigName of ["js-a", "js-b"])
			await SM.send(new sm.CreateEndpointConfigCommand({ EndpointConfigName, ProductionVariants: [{ ...VARIANT, InitialVariantWeight: 0.5 }] }));
		await SM.send(new sm.CreateEndpointConfigCommand({ EndpointConfigName: "js-async", ProductionVariants: [VARIANT], AsyncInferenceConfig }));
	});
	await check("CreateEndpoint", async () => {
		await SM.send(new sm.CreateEndpointCommand({ EndpointName: "js", EndpointConfigName: "js-a" }));
		await SM.send(new sm.CreateEndpointCommand({ EndpointName: "js-async", EndpointConfigName: "js-async" }));
	});
	await check("waitUntilEndpointInService", async () => {
		for (const EndpointName of ["js", "js-async"])
			assert.equal((await sm.waitUntilEndpointInService({ client: SM, ...QUICK }, { EndpointName })).state, "SUCCESS");
	});
	await check("DescribeEndpoint", async () => {
		const r = await SM.send(new sm.DescribeEndpointCommand({ EndpointName: "js" }));
		assert.deepEqual([r.EndpointStatus, r.ProductionVariants[0].CurrentWeight, r.ProductionVariants[0].CurrentInstanceCount], ["InService", 0.5, 1]);
		assert.ok(r.LastModifiedTime instanceof Date);
	});
	await check("paginateListEndpointConfigs", async () => {
		const pages = await all(sm.paginateListEndpointConfigs({ client: SM, pageSize: 2 }, { NameContains: "js-", SortBy: "Name", SortOrder: "Ascending" }));
		assert.deepEqual(pages.map((p) => p.EndpointConfigs.map((c) => c.EndpointConfigName)), [["js-a", "js-async"], ["js-b"]]);
	});
	await check("ListEndpoints by status and time", async () => {
		const query = { StatusEquals: "InService", CreationTimeAfter: new Date(Date.now() - 3600e3), NameContains: "js" };
		assert.equal((await SM.send(new sm.ListEndpointsCommand(query))).Endpoints.length, 2);
		assert.equal((await SM.send(new sm.ListEndpointsCommand({ CreationTimeAfter: new Date(Date.now() + 3600e3) }))).Endpoints.length, 0);
	});
	await check("AddTags, ListTags, DeleteTags", async () => {
		const { ModelArn: ResourceArn } = await SM.send(new sm.DescribeModelCommand({ ModelName: "js" }));
		await SM.send(new sm.AddTagsCommand({ ResourceArn, Tags: [{ Key: "more", Value: "" }] }));
		await SM.send(new sm.DeleteTagsCommand({ ResourceArn, TagKeys: ["team"] }));
		assert.deepEqual((await SM.send(new sm.ListTagsCommand({ ResourceArn }))).Tags, [{ Key: "more", Value: "" }]);
	});
}

const ask = (Body, more) => RT.send(new rt.InvokeEndpointCommand({ EndpointName: "js", ContentType: "application/json", Body, ...more }));

async function invoke() {
	await check("InvokeEndpoint with JSON", async () => {
		const r = await ask('{"instances": [1]}', { CustomAttributes: "trace=1", InferenceId: "id-1" });
		assert.deepEqual(JSON.parse(text(r.Body)), { echo: '{"instances": [1]}', content_type: "application/json" });
		assert.deepEqual([r.ContentType, r.InvokedProductionVariant], ["application/json", "AllTraffic"]);
	});
	await check("InvokeEndpoint with CSV", async () =>
		assert.equal(JSON.parse((await ask("1,2\n", { ContentType: "text/csv", Accept: "application/json" })).Body.transformToString()).content_type, "text/csv"));
	await check("InvokeEndpoint with bytes", async () => {
		const { length } = Buffer.from(JSON.parse(text((await ask(Buffer.from([0x4e, 0, 0xff]), { ContentType: "application/x-npy" })).Body)).echo);
		assert.equal(length, 5); // the echo's own replacement character for the last
		const r = await ask('{"bytes": 1000000}', { TargetVariant: "AllTraffic" });
		assert.deepEqual([r.Body.length, r.ContentType], [1000000, "application/octet-stream"]);
	});
	await check("ModelError", () => throws(ask('{"status": 507, "text": "no room"}'), rt.ModelError, (e) =>
		e.OriginalStatusCode === 507 && e.OriginalMessage === "no room" && e.LogStreamArn.includes("/aws/sagemaker/Endpoints/js") &&
		e.$metadata.httpStatusCode === 424 && e.message.startsWith("Received server error (507) from primary")));
	await check("ValidationError", () => throws(ask("1", { EndpointName: "none" }), rt.ValidationError, (e) => /not found/.test(e.message ?? e.Message)));
	await check("InvokeEndpointWithResponseStream", async () => {
		const r = await RT.send(new rt.InvokeEndpointWithResponseStreamCommand({ EndpointName: "js", ContentType: "application/json",
			Body: '{"stream": ["one ", "two ", "three"], "pause": 0.05}' }));
		let out = "", n = 0;
		for await (const event of r.Body) out += text(event.PayloadPart.Bytes), n++;
		assert.deepEqual([out, n > 1, r.ContentType], ["one two three", true, "text/plain"]);
	});
	await check("ModelStreamError", async () => {
		const r = await RT.send(new rt.InvokeEndpointWithResponseStreamCommand({ EndpointName: "js", ContentType: "application/json", Body: '{"stream": ["one"], "break": true}' }));
		const e = await (async () => { for await (const event of r.Body) if (!event.PayloadPart) throw Object.values(event)[0]; })().then(() => null, (e) => e);
		assert.ok(e instanceof rt.ModelStreamError, e);
		assert.ok(e.ErrorCode, JSON.stringify(e));
	});
	await check("ModelError of a stream", () => throws(RT.send(new rt.InvokeEndpointWithResponseStreamCommand({ EndpointName: "js",
		ContentType: "application/json", Body: '{"status": 400, "text": "bad"}' })), rt.ModelError, (e) => e.OriginalStatusCode === 400));
	await check("InvokeEndpointAsync", async () => {
		await S3.send(new s3.PutObjectCommand({ Bucket: BUCKET, Key: "questions/1", Body: "[1]" }));
		const r = await RT.send(new rt.InvokeEndpointAsyncCommand({ EndpointName: "js-async", ContentType: "application/json", InputLocation: `s3://${BUCKET}/questions/1` }));
		const Key = r.OutputLocation.slice(`s3://${BUCKET}/`.length);
		await s3.waitUntilObjectExists({ client: S3, ...QUICK }, { Bucket: BUCKET, Key });
		assert.equal(JSON.parse(text(await bytesOf(new s3.GetObjectCommand({ Bucket: BUCKET, Key })))).echo, "[1]");
	});
}

async function update() {
	await check("UpdateEndpoint", async () => {
		await SM.send(new sm.UpdateEndpointCommand({ EndpointName: "js", EndpointConfigName: "js-b", RetainAllVariantProperties: false }));
		await sm.waitUntilEndpointInService({ client: SM, ...QUICK }, { EndpointName: "js" });
		assert.equal((await SM.send(new sm.DescribeEndpointCommand({ EndpointName: "js" }))).EndpointConfigName, "js-b");
	});
	await check("UpdateEndpointWeightsAndCapacities", async () => {
		await SM.send(new sm.UpdateEndpointWeightsAndCapacitiesCommand({ EndpointName: "js",
			DesiredWeightsAndCapacities: [{ VariantName: "AllTraffic", DesiredWeight: 0.25, DesiredInstanceCount: 2 }] }));
		await sm.waitUntilEndpointInService({ client: SM, ...QUICK }, { EndpointName: "js" });
		const [v] = (await SM.send(new sm.DescribeEndpointCommand({ EndpointName: "js" }))).ProductionVariants;
		assert.deepEqual([v.CurrentWeight, v.CurrentInstanceCount], [0.25, 2]);
	});
	await check("ValidationException", () => throws(SM.send(new sm.DescribeEndpointCommand({ EndpointName: "none" })), "ValidationException", (e) => /^Could not find endpoint/.test(e.message)));
	await check("ValidationException of a pattern", () => throws(SM.send(new sm.CreateModelCommand({ ModelName: "no_good", ExecutionRoleArn: ROLE })), "ValidationException", (e) => /regular expression pattern/.test(e.message)));
	await check("an endpoint that is there", () => throws(SM.send(new sm.CreateEndpointCommand({ EndpointName: "js", EndpointConfigName: "js-a" })), "ValidationException", (e) => /already existing/.test(e.message)));
	await check("ResourceLimitExceeded", async () => {
		const { ModelArn: ResourceArn } = await SM.send(new sm.DescribeModelCommand({ ModelName: "js" }));
		const tags = (prefix) => new sm.AddTagsCommand({ ResourceArn, Tags: Array.from({ length: 30 }, (_, i) => ({ Key: `${prefix}${i}`, Value: "" })) });
		await SM.send(tags("a"));
		await throws(SM.send(tags("b")), sm.ResourceLimitExceeded);
	});
	await check("UnknownOperationException", () => throws(SM.send(new sm.ListTrainingJobsCommand({})), "UnknownOperationException"));
}

async function observe() {
	const LOGS = new logs.CloudWatchLogsClient(), CW = new cw.CloudWatchClient(), AAS = new scaling.ApplicationAutoScalingClient();
	const logGroupName = "/aws/sagemaker/Endpoints/js";
	const span = { StartTime: new Date(Date.now() - 3600e3), EndTime: new Date(Date.now() + 60e3) };
	const Dimensions = [{ Name: "EndpointName", Value: "js" }, { Name: "VariantName", Value: "AllTraffic" }];
	await check("DescribeLogStreams", async () =>
		assert.ok((await LOGS.send(new logs.DescribeLogStreamsCommand({ logGroupName, orderBy: "LastEventTime", descending: true }))).logStreams[0].logStreamName.startsWith("AllTraffic/")));
	await check("FilterLogEvents", () => until(async () =>
		(await all(logs.paginateFilterLogEvents({ client: LOGS }, { logGroupName, filterPattern: "POST" }))).some((p) => p.events.length)));
	await check("GetLogEvents", async () => {
		const { logStreams: [{ logStreamName }] } = await LOGS.send(new logs.DescribeLogStreamsCommand({ logGroupName }));
		assert.ok((await LOGS.send(new logs.GetLogEventsCommand({ logGroupName, logStreamName, startFromHead: true }))).events.length);
	});
	await check("ResourceNotFoundException of logs", () => throws(LOGS.send(new logs.DescribeLogStreamsCommand({ logGroupName: "/none" })), logs.ResourceNotFoundException));
	await check("GetMetricStatistics", async () => {
		const r = await CW.send(new cw.GetMetricStatisticsCommand({ Namespace: "AWS/SageMaker", MetricName: "Invocations", Dimensions, Period: 86400, Statistics: ["Sum"], ...span }));
		assert.ok(r.Datapoints[0].Sum >= 3 && r.Datapoints[0].Timestamp instanceof Date, JSON.stringify(r));
	});
	await check("GetMetricData by pages", async () => {
		const MetricStat = { Metric: { Namespace: "AWS/SageMaker", MetricName: "ModelLatency", Dimensions }, Period: 60, Stat: "Average" };
		const pages = await all(cw.paginateGetMetricData({ client: CW }, { MetricDataQueries: [{ Id: "m1", MetricStat }], ...span }));
		assert.ok(pages[0].MetricDataResults[0].Values.every((v) => v > 0) && pages[0].MetricDataResults[0].Values.length);
	});
	await check("ListMetrics", async () =>
		assert.ok((await CW.send(new cw.ListMetricsCommand({ Namespace: "AWS/SageMaker", MetricName: "Invocations" }))).Metrics.some((m) => m.Dimensions[0].Value === "js")));
	await check("InvalidParameterValueException of metrics", () => throws(CW.send(new cw.GetMetricStatisticsCommand({ Namespace: "AWS/SageMaker", MetricName: "Invocations",
		Dimensions, Period: 7, Statistics: ["Sum"], ...span })), cw.InvalidParameterValueException));
	const target = { ServiceNamespace: "sagemaker", ResourceId: "endpoint/js/variant/AllTraffic", ScalableDimension: "sagemaker:variant:DesiredInstanceCount" };
	await check("auto scaling", async () => {
		assert.match((await AAS.send(new scaling.RegisterScalableTargetCommand({ ...target, MinCapacity: 1, MaxCapacity: 2 }))).ScalableTargetARN, /^arn:/);
		await AAS.send(new scaling.PutScalingPolicyCommand({ ...target, PolicyName: "p", PolicyType: "TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration:
			{ TargetValue: 70, PredefinedMetricSpecification: { PredefinedMetricType: "SageMakerVariantInvocationsPerInstance" } } }));
		const [p] = (await all(scaling.paginateDescribeScalingPolicies({ client: AAS }, { ServiceNamespace: "sagemaker" })))[0].ScalingPolicies;
		assert.deepEqual([p.PolicyName, p.TargetTrackingScalingPolicyConfiguration.TargetValue, p.CreationTime instanceof Date], ["p", 70, true]);
		await AAS.send(new scaling.DeregisterScalableTargetCommand(target));
		await throws(AAS.send(new scaling.DeregisterScalableTargetCommand(target)), scaling.ObjectNotFoundException);
	});
}

async function end() {
	await check("DeleteEndpoint and its waiter", async () => {
		for (const EndpointName of ["js", "js-async"]) {
			await SM.send(new sm.DeleteEndpointCommand({ EndpointName }));
			assert.equal((await sm.waitUntilEndpointDeleted({ client: SM, ...QUICK }, { EndpointName })).state, "SUCCESS");
		}
	});
	await check("an endpoint that fails, and its waiter", async () => {
		await SM.send(new sm.CreateModelCommand({ ModelName: "js-bad", ExecutionRoleArn: ROLE, PrimaryContainer: { Image: IMAGE, ModelDataUrl: `s3://${BUCKET}/copy` } })).catch(() => 0);
		await SM.send(new sm.CreateEndpointConfigCommand({ EndpointConfigName: "js-bad", ProductionVariants: [{ ...VARIANT, ModelName: "js-bad" }] }));
		await SM.send(new sm.CreateEndpointCommand({ EndpointName: "js-bad", EndpointConfigName: "js-bad" }));
		const e = await sm.waitUntilEndpointInService({ client: SM, ...QUICK }, { EndpointName: "js-bad" }).then(() => null, (e) => e);
		assert.match(String(e), /Failed/);
		await SM.send(new sm.DeleteEndpointCommand({ EndpointName: "js-bad" }));
		await SM.send(new sm.DeleteEndpointConfigCommand({ EndpointConfigName: "js-bad" }));
		await SM.send(new sm.DeleteModelCommand({ ModelName: "js-bad" }));
	});
	await check("DeleteEndpointConfig, DeleteModel", async () => {
		for (const EndpointConfigName of ["js-a", "js-b", "js-async"]) await SM.send(new sm.DeleteEndpointConfigCommand({ EndpointConfigName }));
		await SM.send(new sm.DeleteModelCommand({ ModelName: "js" }));
	});
	await check("BucketNotEmpty", () => throws(S3.send(new s3.DeleteBucketCommand({ Bucket: BUCKET })), "BucketNotEmpty"));
	await check("DeleteObjects, DeleteBucket", async () => {
		for await (const { Contents } of s3.paginateListObjectsV2({ client: S3 }, { Bucket: BUCKET }))
			assert.equal((await S3.send(new s3.DeleteObjectsCommand({ Bucket: BUCKET, Delete: { Objects: Contents.map(({ Key }) => ({ Key })) } }))).Errors, undefined);
		await S3.send(new s3.DeleteBucketCommand({ Bucket: BUCKET }));
		await s3.waitUntilBucketNotExists({ client: S3, ...QUICK }, { Bucket: BUCKET });
	});
}

await buckets(readFileSync(process.argv[2]));
await uploads();
await objects();
await identity();
await deploy();
await invoke();
await update();
await observe();
await end();
process.exit(failed ? 1 : 0);
