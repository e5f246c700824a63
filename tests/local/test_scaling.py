"""Application auto scaling of a variant: what is registered is kept, checked and kept to."""
import time

from harness import B, await_status, code_of, deploy, message_of

TARGET = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/scaled/variant/AllTraffic",
          "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
TRACKING = {"TargetValue": 70.0, "ScaleInCooldown": 0, "ScaleOutCooldown": 0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}}


def scaling():
    return B.client("application-autoscaling")


def await_instances(n):
    sm = B.client("sagemaker")
    end = time.time() + 30
    while time.time() < end:
        d = sm.describe_endpoint(EndpointName="scaled")
        if d["EndpointStatus"] == "InService" and d["ProductionVariants"][0]["CurrentInstanceCount"] == n:
            assert d["ProductionVariants"][0]["DesiredInstanceCount"] == n
            return
        time.sleep(0.05)
    raise AssertionError(d)


def test_targets_need_a_variant():
    a = scaling()
    assert code_of(a.register_scalable_target, MinCapacity=1, MaxCapacity=2, **TARGET) == "ValidationException"
    deploy("scaled")
    other = dict(TARGET, ResourceId="endpoint/scaled/variant/Other")
    assert "Could not find a production variant" in message_of(a.register_scalable_target, MinCapacity=1, MaxCapacity=2, **other)
    for change in ({"ResourceId": "endpoint/scaled"}, {"ScalableDimension": "ecs:service:DesiredCount"}, {"ServiceNamespace": "ecs"}):
        assert "Unsupported service namespace" in message_of(a.register_scalable_target, MinCapacity=1, MaxCapacity=2,
                                                             **dict(TARGET, **change))
    for low, high in ((2, 1), (0, 1)):
        assert code_of(a.register_scalable_target, MinCapacity=low, MaxCapacity=high, **TARGET) == "ValidationException"
    assert "must be given" in message_of(a.register_scalable_target, **TARGET)
    assert a.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []


def test_bounds_are_kept():
    a = scaling()
    arn = a.register_scalable_target(MinCapacity=2, MaxCapacity=3, **TARGET)["ScalableTargetARN"]
    await_instances(2)
    t, = a.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (t["MinCapacity"], t["MaxCapacity"], t["ScalableTargetARN"]) == (2, 3, arn)
    assert all(t[k] == v for k, v in TARGET.items())
    assert t["SuspendedState"] == {"DynamicScalingInSuspended": False, "DynamicScalingOutSuspended": False,
                                   "ScheduledScalingSuspended": False}
    assert a.register_scalable_target(MinCapacity=1, MaxCapacity=1, **TARGET)["ScalableTargetARN"] == arn
    await_instances(1)
    a.register_scalable_target(MaxCapacity=4, **TARGET)
    t, = a.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[TARGET["ResourceId"]])["ScalableTargets"]
    assert (t["MinCapacity"], t["MaxCapacity"]) == (1, 4)
    assert a.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=["endpoint/x/variant/y"])["ScalableTargets"] == []


def test_policies():
    a = scaling()
    put = dict(TARGET, PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKING)
    assert code_of(a.put_scaling_policy, PolicyName="p", **dict(put, ResourceId="endpoint/no/variant/v")) == "ObjectNotFoundException"
    arn = a.put_scaling_policy(PolicyName="keep/busy", **put)["PolicyARN"]
    assert a.put_scaling_policy(PolicyName="keep/busy", **put)["PolicyARN"] == arn
    p, = a.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert (p["PolicyName"], p["PolicyARN"], p["PolicyType"]) == ("keep/busy", arn, "TargetTrackingScaling")
    assert p["TargetTrackingScalingPolicyConfiguration"] == TRACKING and p["ResourceId"] == TARGET["ResourceId"]
    assert arn.endswith(":resource/sagemaker/%s:policyName/keep/busy" % TARGET["ResourceId"])
    a.put_scaling_policy(PolicyName="other", **put)
    pages = a.get_paginator("describe_scaling_policies").paginate(ServiceNamespace="sagemaker", PaginationConfig={"PageSize": 1})
    assert [p["PolicyName"] for page in pages for p in page["ScalingPolicies"]] == ["keep/busy", "other"]
    assert len(a.describe_scaling_policies(ServiceNamespace="sagemaker", PolicyNames=["other"])["ScalingPolicies"]) == 1
    a.delete_scaling_policy(PolicyName="other", **TARGET)
    assert "No scaling policy found" in message_of(a.delete_scaling_policy, PolicyName="other", **TARGET)


def test_policies_that_are_refused():
    a = scaling()

    def refused(**kw):
        return message_of(a.put_scaling_policy, PolicyName="p", **dict(TARGET, **kw))

    assert "no alarms" in refused(PolicyType="StepScaling", StepScalingPolicyConfiguration={"AdjustmentType": "ChangeInCapacity"})
    assert "no alarms" in refused(PolicyType="StepScaling")
    assert "predefined metric" in refused(PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration={
        "TargetValue": 1, "CustomizedMetricSpecification": {"MetricName": "CPUUtilization", "Namespace": "x", "Statistic": "Average"}})
    assert "tracks" in refused(PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration={
        "TargetValue": 1, "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}})


def test_targets_survive_a_kill():
    B.kill()
    B.start()
    await_status("scaled", "InService")
    t, = scaling().describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (t["MinCapacity"], t["MaxCapacity"]) == (1, 4)
    assert len(scaling().describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]) == 1


def test_deregister():
    a = scaling()
    a.deregister_scalable_target(**TARGET)
    assert a.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert a.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    assert code_of(a.deregister_scalable_target, **TARGET) == "ObjectNotFoundException"


def test_deleted_endpoint_has_no_target():
    a = scaling()
    a.register_scalable_target(MinCapacity=1, MaxCapacity=2, **TARGET)
    B.client("sagemaker").delete_endpoint(EndpointName="scaled")
    assert a.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    await_status("scaled", "gone")
