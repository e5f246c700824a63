// The AWS SDK for Go version 2, unmodified on the local backend: what a program that hosts models does, and what it catches.
//
// usage: sdk_go MODEL.tar.gz      AWS comes from the environment; the model server echoes (tests/data/echo-serve)
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	aastypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	smtypes "github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	rt "github.com/aws/aws-sdk-go-v2/service/sagemakerruntime"
	rttypes "github.com/aws/aws-sdk-go-v2/service/sagemakerruntime/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

const (
	image  = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.19.0-cpu"
	bucket = "go-models"
)

var (
	ctx  = context.Background()
	str  = aws.String
	role = os.Getenv("SAGEMAKER_ROLE_ARN")
	bad  = 0
)

func check(name string, fn func() error) {
	err := fn()
	if err == nil {
		fmt.Println("ok go: " + name)
		return
	}
	bad++
	fmt.Printf("FAIL go: %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
}

func is(good bool, detail any) error {
	if good {
		return nil
	}
	return fmt.Errorf("%+v", detail)
}

// first: the error of a call whose answer nobody asks for.
func first[T any](_ T, err error) error { return err }

// typed: err is an exception of that type.
func typed[T error](err error) error {
	var want T
	return is(errors.As(err, &want), fmt.Sprintf("not %T: %v", want, err))
}

func code(err error, want, text string) error {
	var e smithy.APIError
	return is(errors.As(err, &e) && e.ErrorCode() == want && strings.Contains(e.ErrorMessage(), text), err)
}

func get(c *s3.Client, key string) ([]byte, error) {
	r, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: str(bucket), Key: str(key), ChecksumMode: s3types.ChecksumModeEnabled})
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

func same(c *s3.Client, key string, want []byte) error {
	got, err := get(c, key)
	if err != nil {
		return err
	}
	return is(bytes.Equal(got, want), fmt.Sprintf("%s: %d bytes", key, len(got)))
}

func put(c *s3.Client, key string, body []byte) error {
	return first(c.PutObject(ctx, &s3.PutObjectInput{Bucket: str(bucket), Key: str(key), Body: bytes.NewReader(body)}))
}

func objects(c *s3.Client, model []byte) {
	check("CreateBucket and its waiter", func() error {
		if err := first(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: str(bucket)})); err != nil {
			return err
		}
		return s3.NewBucketExistsWaiter(c).Wait(ctx, &s3.HeadBucketInput{Bucket: str(bucket)}, time.Minute)
	})
	check("PutObject", func() error { return put(c, "go/model.tar.gz", model) })
	check("GetObject", func() error { return same(c, "go/model.tar.gz", model) })
	check("GetObject of a range", func() error {
		r, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: str(bucket), Key: str("go/model.tar.gz"), Range: str("bytes=2-5")})
		if err != nil {
			return err
		}
		got, err := io.ReadAll(r.Body)
		return is(err == nil && bytes.Equal(got, model[2:6]), got)
	})
	check("a key with all that needs encoding", func() error {
		key := "a b/ü+&=%20'(x)*!~;,:@$.txt"
		if err := put(c, key, []byte("strange")); err != nil {
			return err
		}
		return same(c, key, []byte("strange"))
	})
	check("CopyObject", func() error {
		in := &s3.CopyObjectInput{Bucket: str(bucket), Key: str("copy"), CopySource: str(bucket + "/go/model.tar.gz")}
		if err := first(c.CopyObject(ctx, in)); err != nil {
			return err
		}
		return same(c, "copy", model)
	})
	check("ListObjectsV2 by pages", func() error {
		n := []int{}
		for i := 0; i < 5; i++ {
			if err := put(c, fmt.Sprintf("list/%d", i), []byte("x")); err != nil {
				return err
			}
		}
		p := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: str(bucket), Prefix: str("list/"), MaxKeys: aws.Int32(2)})
		for p.HasMorePages() {
			page, err := p.NextPage(ctx)
			if err != nil {
				return err
			}
			n = append(n, len(page.Contents))
		}
		return is(fmt.Sprint(n) == "[2 2 1]", n)
	})
	check("presigned GET and PUT", func() error { return presigned(c) })
	check("NoSuchKey", func() error { return typed[*s3types.NoSuchKey](first(get(c, "none"))) })
	check("NotFound", func() error {
		return typed[*s3types.NotFound](first(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: str(bucket), Key: str("none")})))
	})
	check("NoSuchBucket", func() error {
		return typed[*s3types.NoSuchBucket](first(c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: str("go-none")})))
	})
	check("If-None-Match: *", func() error {
		in := &s3.PutObjectInput{Bucket: str(bucket), Key: str("copy"), Body: strings.NewReader("x"), IfNoneMatch: str("*")}
		return code(first(c.PutObject(ctx, in)), "PreconditionFailed", "")
	})
}

func presigned(c *s3.Client) error {
	p := s3.NewPresignClient(c)
	up, err := p.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: str(bucket), Key: str("pre signed")})
	if err != nil {
		return err
	}
	req, _ := http.NewRequest(up.Method, up.URL, strings.NewReader("by URL"))
	req.Header = up.SignedHeader
	if r, err := http.DefaultClient.Do(req); err != nil || r.StatusCode != 200 {
		return fmt.Errorf("PUT: %v %v", r, err)
	}
	down, err := p.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: str(bucket), Key: str("pre signed")})
	if err != nil {
		return err
	}
	r, err := http.Get(down.URL)
	if err != nil {
		return err
	}
	got, _ := io.ReadAll(r.Body)
	return is(r.StatusCode == 200 && string(got) == "by URL", string(got))
}

// No length is known beforehand, of an object that takes several parts.
func managers(c *s3.Client) {
	big := make([]byte, 17<<20)
	rand.Read(big)
	check("transfermanager", func() error {
		t := transfermanager.New(c)
		in := &transfermanager.UploadObjectInput{Bucket: str(bucket), Key: str("big"), Body: io.MultiReader(bytes.NewReader(big))}
		if err := first(t.UploadObject(ctx, in)); err != nil {
			return err
		}
		r, err := t.GetObject(ctx, &transfermanager.GetObjectInput{Bucket: str(bucket), Key: str("big")})
		if err != nil {
			return err
		}
		got, err := io.ReadAll(r.Body)
		return is(err == nil && bytes.Equal(got, big), err)
	})
	for _, sum := range []s3types.ChecksumAlgorithm{"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"} {
		check("manager with "+string(sum), func() error {
			in := &s3.PutObjectInput{Bucket: str(bucket), Key: str("big"), Body: io.MultiReader(bytes.NewReader(big)), ChecksumAlgorithm: sum}
			if err := first(manager.NewUploader(c).Upload(ctx, in)); err != nil {
				return err
			}
			w := manager.NewWriteAtBuffer(nil)
			_, err := manager.NewDownloader(c).Download(ctx, w, &s3.GetObjectInput{Bucket: str(bucket), Key: str("big")})
			return is(err == nil && bytes.Equal(w.Bytes(), big), err)
		})
	}
}

func variant() []smtypes.ProductionVariant {
	return []smtypes.ProductionVariant{{VariantName: str("AllTraffic"), ModelName: str("go"),
		InstanceType: smtypes.ProductionVariantInstanceTypeMlM5Large, InitialInstanceCount: aws.Int32(1)}}
}

func inService(c *sagemaker.Client) error {
	quick := func(o *sagemaker.EndpointInServiceWaiterOptions) { o.MinDelay, o.MaxDelay = time.Second/5, time.Second }
	return sagemaker.NewEndpointInServiceWaiter(c, quick).Wait(ctx, &sagemaker.DescribeEndpointInput{EndpointName: str("go")}, 2*time.Minute)
}

func deploy(c *sagemaker.Client) {
	check("CreateModel", func() error {
		r, err := c.CreateModel(ctx, &sagemaker.CreateModelInput{ModelName: str("go"), ExecutionRoleArn: str(role),
			PrimaryContainer: &smtypes.ContainerDefinition{Image: str(image), ModelDataUrl: str("s3://" + bucket + "/go/model.tar.gz")},
			Tags:             []smtypes.Tag{{Key: str("team"), Value: str("go")}}})
		if err != nil {
			return err
		}
		t, err := c.ListTags(ctx, &sagemaker.ListTagsInput{ResourceArn: r.ModelArn})
		return is(err == nil && len(t.Tags) == 1 && *t.Tags[0].Value == "go", err)
	})
	check("CreateEndpointConfig", func() error {
		for _, name := range []string{"go-a", "go-b", "go-c"} {
			in := &sagemaker.CreateEndpointConfigInput{EndpointConfigName: str(name), ProductionVariants: variant()}
			if err := first(c.CreateEndpointConfig(ctx, in)); err != nil {
				return err
			}
		}
		return nil
	})
	check("CreateEndpoint and its waiter", func() error {
		in := &sagemaker.CreateEndpointInput{EndpointName: str("go"), EndpointConfigName: str("go-a")}
		if err := first(c.CreateEndpoint(ctx, in)); err != nil {
			return err
		}
		return inService(c)
	})
	check("ListEndpointConfigs by pages", func() error {
		var names []string
		p := sagemaker.NewListEndpointConfigsPaginator(c, &sagemaker.ListEndpointConfigsInput{NameContains: str("go-"), MaxResults: aws.Int32(2)})
		for p.HasMorePages() {
			page, err := p.NextPage(ctx)
			if err != nil {
				return err
			}
			for _, e := range page.EndpointConfigs {
				names = append(names, *e.EndpointConfigName)
			}
		}
		return is(len(names) == 3, names)
	})
	check("UpdateEndpoint", func() error {
		in := &sagemaker.UpdateEndpointInput{EndpointName: str("go"), EndpointConfigName: str("go-b")}
		if err := first(c.UpdateEndpoint(ctx, in)); err != nil {
			return err
		}
		if err := inService(c); err != nil {
			return err
		}
		d, err := c.DescribeEndpoint(ctx, &sagemaker.DescribeEndpointInput{EndpointName: str("go")})
		return is(err == nil && *d.EndpointConfigName == "go-b" && d.LastModifiedTime.After(*d.CreationTime), d)
	})
	check("ValidationException", func() error {
		err := first(c.DescribeEndpoint(ctx, &sagemaker.DescribeEndpointInput{EndpointName: str("none")}))
		return code(err, "ValidationException", "Could not find endpoint")
	})
	check("ResourceLimitExceeded", func() error {
		var tags []smtypes.Tag
		for i := 0; i < 50; i++ {
			tags = append(tags, smtypes.Tag{Key: str(fmt.Sprint("k", i)), Value: str("")})
		}
		m, err := c.DescribeModel(ctx, &sagemaker.DescribeModelInput{ModelName: str("go")})
		if err != nil {
			return err
		}
		return typed[*smtypes.ResourceLimitExceeded](first(c.AddTags(ctx, &sagemaker.AddTagsInput{ResourceArn: m.ModelArn, Tags: tags})))
	})
}

func ask(c *rt.Client, body, contentType string) (*rt.InvokeEndpointOutput, error) {
	return c.InvokeEndpoint(ctx, &rt.InvokeEndpointInput{EndpointName: str("go"), ContentType: str(contentType), Body: []byte(body)})
}

func invoke(c *rt.Client) {
	for _, kind := range []string{"application/json", "text/csv", "application/x-npy"} {
		check("InvokeEndpoint with "+kind, func() error {
			r, err := ask(c, "1,2", kind)
			if err != nil {
				return err
			}
			var got map[string]string
			err = json.Unmarshal(r.Body, &got)
			return is(err == nil && got["content_type"] == kind && *r.InvokedProductionVariant == "AllTraffic", got)
		})
	}
	check("ModelError", func() error {
		_, err := ask(c, `{"status": 507, "text": "no room"}`, "application/json")
		var e *rttypes.ModelError
		return is(errors.As(err, &e) && *e.OriginalStatusCode == 507 && *e.OriginalMessage == "no room" && *e.LogStreamArn != "", err)
	})
	check("ValidationError", func() error {
		err := first(c.InvokeEndpoint(ctx, &rt.InvokeEndpointInput{EndpointName: str("none"), Body: []byte("1")}))
		return typed[*rttypes.ValidationError](err)
	})
	check("InvokeEndpointWithResponseStream", func() error {
		got, err := stream(c, `{"stream": ["one ", "two ", "three"], "pause": 0.05}`)
		return is(err == nil && got == "one two three", fmt.Sprint(got, err))
	})
	check("ModelStreamError", func() error {
		_, err := stream(c, `{"stream": ["one"], "break": true}`)
		return typed[*rttypes.ModelStreamError](err)
	})
}

func stream(c *rt.Client, body string) (string, error) {
	r, err := c.InvokeEndpointWithResponseStream(ctx, &rt.InvokeEndpointWithResponseStreamInput{
		EndpointName: str("go"), ContentType: str("application/json"), Body: []byte(body)})
	if err != nil {
		return "", err
	}
	s := r.GetStream()
	defer s.Close()
	out := ""
	for e := range s.Events() {
		if p, ok := e.(*rttypes.ResponseStreamMemberPayloadPart); ok {
			out += string(p.Value.Bytes)
		}
	}
	return out, s.Err()
}

func invokeAsync(sm *sagemaker.Client, c *rt.Client, objects *s3.Client) error {
	in := &sagemaker.CreateEndpointConfigInput{EndpointConfigName: str("go-async"), ProductionVariants: variant(),
		AsyncInferenceConfig: &smtypes.AsyncInferenceConfig{OutputConfig: &smtypes.AsyncInferenceOutputConfig{S3OutputPath: str("s3://" + bucket + "/answers")}}}
	if err := first(sm.CreateEndpointConfig(ctx, in)); err != nil {
		return err
	}
	update := &sagemaker.UpdateEndpointInput{EndpointName: str("go"), EndpointConfigName: str("go-async")}
	if err := first(sm.UpdateEndpoint(ctx, update)); err != nil {
		return err
	}
	if err := inService(sm); err != nil {
		return err
	}
	if err := put(objects, "question", []byte("[1]")); err != nil {
		return err
	}
	r, err := c.InvokeEndpointAsync(ctx, &rt.InvokeEndpointAsyncInput{EndpointName: str("go"), InputLocation: str("s3://" + bucket + "/question"), ContentType: str("application/json")})
	if err != nil {
		return err
	}
	key := strings.TrimPrefix(*r.OutputLocation, "s3://"+bucket+"/")
	if err := s3.NewObjectExistsWaiter(objects, func(o *s3.ObjectExistsWaiterOptions) { o.MinDelay, o.MaxDelay = time.Second/5, time.Second }).
		Wait(ctx, &s3.HeadObjectInput{Bucket: str(bucket), Key: str(key)}, time.Minute); err != nil {
		return err
	}
	got, err := get(objects, key)
	return is(err == nil && bytes.Contains(got, []byte("[1]")), string(got))
}

func observe(cfg aws.Config) {
	group := str("/aws/sagemaker/Endpoints/go")
	logs, cw := cloudwatchlogs.NewFromConfig(cfg), cloudwatch.NewFromConfig(cfg)
	dims := []cwtypes.Dimension{{Name: str("EndpointName"), Value: str("go")}, {Name: str("VariantName"), Value: str("AllTraffic")}}
	from, to := aws.Time(time.Now().Add(-time.Hour)), aws.Time(time.Now().Add(time.Minute))
	check("FilterLogEvents by pages", func() error {
		p := cloudwatchlogs.NewFilterLogEventsPaginator(logs, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: str("ready")})
		n := 0
		for p.HasMorePages() {
			page, err := p.NextPage(ctx)
			if err != nil {
				return err
			}
			n += len(page.Events)
		}
		return is(n > 0, n)
	})
	check("ResourceNotFoundException of logs", func() error {
		in := &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: str("/none")}
		return typed[*logtypes.ResourceNotFoundException](first(logs.DescribeLogStreams(ctx, in)))
	})
	check("GetMetricData", func() error {
		stat := &cwtypes.MetricStat{Metric: &cwtypes.Metric{Namespace: str("AWS/SageMaker"), MetricName: str("Invocations"), Dimensions: dims}, Period: aws.Int32(60), Stat: str("Sum")}
		r, err := cw.GetMetricData(ctx, &cloudwatch.GetMetricDataInput{StartTime: from, EndTime: to, MetricDataQueries: []cwtypes.MetricDataQuery{{Id: str("m1"), MetricStat: stat}}})
		return is(err == nil && len(r.MetricDataResults[0].Values) > 0, fmt.Sprint(r, err))
	})
	check("GetMetricStatistics", func() error {
		r, err := cw.GetMetricStatistics(ctx, &cloudwatch.GetMetricStatisticsInput{Namespace: str("AWS/SageMaker"), MetricName: str("ModelLatency"),
			Dimensions: dims, StartTime: from, EndTime: to, Period: aws.Int32(3600), Statistics: []cwtypes.Statistic{cwtypes.StatisticAverage}})
		return is(err == nil && len(r.Datapoints) > 0 && *r.Datapoints[0].Average > 0, fmt.Sprint(r, err))
	})
	check("InvalidParameterValueException of metrics", func() error {
		return typed[*cwtypes.InvalidParameterValueException](first(cw.GetMetricStatistics(ctx, &cloudwatch.GetMetricStatisticsInput{Namespace: str("AWS/SageMaker"),
			MetricName: str("ModelLatency"), Dimensions: dims, StartTime: from, EndTime: to, Period: aws.Int32(7), Statistics: []cwtypes.Statistic{cwtypes.StatisticSum}})))
	})
	check("auto scaling", func() error {
		c := aas.NewFromConfig(cfg)
		id, dim := str("endpoint/go/variant/AllTraffic"), aastypes.ScalableDimensionSageMakerVariantDesiredInstanceCount
		in := &aas.RegisterScalableTargetInput{ServiceNamespace: aastypes.ServiceNamespaceSagemaker, ResourceId: id, ScalableDimension: dim, MinCapacity: aws.Int32(1), MaxCapacity: aws.Int32(2)}
		if err := first(c.RegisterScalableTarget(ctx, in)); err != nil {
			return err
		}
		r, err := c.DescribeScalableTargets(ctx, &aas.DescribeScalableTargetsInput{ServiceNamespace: aastypes.ServiceNamespaceSagemaker})
		if err != nil || len(r.ScalableTargets) != 1 || *r.ScalableTargets[0].MaxCapacity != 2 {
			return fmt.Errorf("%v %v", r, err)
		}
		drop := &aas.DeregisterScalableTargetInput{ServiceNamespace: aastypes.ServiceNamespaceSagemaker, ResourceId: id, ScalableDimension: dim}
		if err := first(c.DeregisterScalableTarget(ctx, drop)); err != nil {
			return err
		}
		return typed[*aastypes.ObjectNotFoundException](first(c.DeregisterScalableTarget(ctx, drop)))
	})
}

func identity(cfg aws.Config) {
	c := sts.NewFromConfig(cfg)
	check("GetCallerIdentity", func() error {
		r, err := c.GetCallerIdentity(ctx, nil)
		return is(err == nil && *r.Account == "123456789012", err)
	})
	check("AssumeRole", func() error {
		r, err := c.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: str(role), RoleSessionName: str("go")})
		return is(err == nil && r.Credentials.Expiration.After(time.Now()), err)
	})
}

func end(c *sagemaker.Client, objects *s3.Client) {
	check("DeleteEndpoint and its waiter", func() error {
		if err := first(c.DeleteEndpoint(ctx, &sagemaker.DeleteEndpointInput{EndpointName: str("go")})); err != nil {
			return err
		}
		quick := func(o *sagemaker.EndpointDeletedWaiterOptions) { o.MinDelay, o.MaxDelay = time.Second/5, time.Second }
		return sagemaker.NewEndpointDeletedWaiter(c, quick).Wait(ctx, &sagemaker.DescribeEndpointInput{EndpointName: str("go")}, time.Minute)
	})
	check("DeleteEndpointConfig, DeleteModel", func() error {
		for _, name := range []string{"go-a", "go-b", "go-c", "go-async"} {
			if err := first(c.DeleteEndpointConfig(ctx, &sagemaker.DeleteEndpointConfigInput{EndpointConfigName: str(name)})); err != nil {
				return err
			}
		}
		return first(c.DeleteModel(ctx, &sagemaker.DeleteModelInput{ModelName: str("go")}))
	})
	check("DeleteObjects, DeleteBucket", func() error {
		var ids []s3types.ObjectIdentifier
		r, err := objects.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: str(bucket)})
		if err != nil {
			return err
		}
		for _, o := range r.Contents {
			ids = append(ids, s3types.ObjectIdentifier{Key: o.Key})
		}
		if err := first(objects.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: str(bucket), Delete: &s3types.Delete{Objects: ids}})); err != nil {
			return err
		}
		return first(objects.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: str(bucket)}))
	})
}

func main() {
	model, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		panic(err)
	}
	quiet := func(o *s3.Options) { o.DisableLogOutputChecksumValidationSkipped = true }
	s, m, r := s3.NewFromConfig(cfg, quiet), sagemaker.NewFromConfig(cfg), rt.NewFromConfig(cfg)
	identity(cfg)
	objects(s, model)
	managers(s)
	deploy(m)
	invoke(r)
	observe(cfg)
	check("InvokeEndpointAsync", func() error { return invokeAsync(m, r, s) })
	end(m, s)
	if bad > 0 {
		os.Exit(1)
	}
}
