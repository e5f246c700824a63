"""Deployments: several variants and instances, updates that replace what serves, scaling; and what a failure leaves."""
import json
import os
import threading
import time

from harness import B, IMAGE, archive, arrived, await_status, code_of, deploy, invoke, message_of, until

CRASHES = (("export/Servo/1/saved_model.pb", b"x"), ("crash-at-start", b""))


def model(name, files=None, env=None):
    s3, sm = B.client("s3"), B.client("sagemaker")
    s3.put_object(Bucket="models", Key=name + "/model.tar.gz", Body=archive(files) if files else archive())
    sm.create_model(ModelName=name, ExecutionRoleArn=B.run["role"], PrimaryContainer={
        "Image": IMAGE, "ModelDataUrl": "s3://models/%s/model.tar.gz" % name, "Environment": env or {}})


def config(name, *variants):
    """Variants as (name, model, instances, weight)."""
    B.client("sagemaker").create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
        {"VariantName": v, "ModelName": m, "InstanceType": "ml.m5.large", "InitialInstanceCount": n, "InitialVariantWeight": w}
        for v, m, n, w in variants])


def create(name, *variants):
    config(name, *variants)
    B.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=name)
    return await_status(name, "InService")


def env_of(name, **kw):
    r = invoke(name, json.dumps({"env": True}).encode(), **kw)
    return json.loads(r["Body"].read()), r["InvokedProductionVariant"]


def instances(name, times=40, **kw):
    """The scratch directories of the processes that answer."""
    return {env_of(name, **kw)[0]["TMPDIR"] for _ in range(times)}


def await_update(name, seconds=30):
    sm = B.client("sagemaker")
    end = time.time() + seconds
    while time.time() < end:
        d = sm.describe_endpoint(EndpointName=name)
        if d["EndpointStatus"] not in ("Updating", "RollingBack"):
            return d
        time.sleep(0.02)
    raise AssertionError(d)


def test_two_variants_share_by_weight():
    model("va", env={"WHO": "a"})
    model("vb", env={"WHO": "b"})
    d = create("mixed", ("A", "va", 1, 3), ("B", "vb", 1, 1))
    assert [(v["VariantName"], v["CurrentWeight"], v["CurrentInstanceCount"]) for v in d["ProductionVariants"]] == \
        [("A", 3.0, 1), ("B", 1.0, 1)]
    seen = [env_of("mixed") for _ in range(200)]
    assert all(e["WHO"] == v.lower() for e, v in seen)
    share = sum(v == "A" for _, v in seen) / len(seen)
    assert 0.6 < share < 0.9, share
    assert {env_of("mixed", TargetVariant="B")[1] for _ in range(10)} == {"B"}
    assert message_of(invoke, "mixed", TargetVariant="C") == "Variant C not found for Endpoint mixed."
    sm = B.client("sagemaker")
    sm.update_endpoint_weights_and_capacities(EndpointName="mixed", DesiredWeightsAndCapacities=[
        {"VariantName": "A", "DesiredWeight": 0}])
    d = await_update("mixed")
    assert {env_of("mixed")[1] for _ in range(50)} == {"B"}
    assert d["ProductionVariants"][0]["DesiredWeight"] == 0
    assert "Could not find variant" in message_of(
        sm.update_endpoint_weights_and_capacities, EndpointName="mixed",
        DesiredWeightsAndCapacities=[{"VariantName": "C", "DesiredWeight": 1}])


def test_config_refuses_equal_variants():
    assert "twice" in message_of(config, "twins", ("A", "va", 1, 1), ("A", "vb", 1, 1))


def test_instances_are_processes():
    create("three", ("AllTraffic", "va", 3, 1))
    slow = [threading.Thread(target=invoke, args=("three", b'{"sleep": 3}')) for _ in range(2)]
    for t in slow:
        t.start()
    until(lambda: arrived("three") == 2)
    assert len(instances("three", 5)) == 1, "the least loaded one answers"
    for t in slow:
        t.join()
    sm = B.client("sagemaker")
    sm.update_endpoint_weights_and_capacities(EndpointName="three", DesiredWeightsAndCapacities=[
        {"VariantName": "AllTraffic", "DesiredInstanceCount": 1}])
    d = await_update("three")
    assert d["ProductionVariants"][0]["DesiredInstanceCount"] == 1
    assert len(instances("three")) == 1
    sm.update_endpoint_weights_and_capacities(EndpointName="three", DesiredWeightsAndCapacities=[
        {"VariantName": "AllTraffic", "DesiredInstanceCount": 2}])
    assert sm.describe_endpoint(EndpointName="three")["EndpointStatus"] == "Updating"
    assert message_of(sm.delete_endpoint, EndpointName="three").startswith("Cannot update in-progress endpoint ")
    d = await_update("three")
    assert d["ProductionVariants"][0]["CurrentInstanceCount"] == 2


def test_update_serves_without_a_gap():
    """While the new deployment starts and takes over, every invocation is answered, also those that are long in flight."""
    sm = B.client("sagemaker")
    create("blue", ("AllTraffic", "va", 1, 1))
    config("blue-2", ("AllTraffic", "vb", 1, 1))
    answers, failures, stop = [], [], threading.Event()
    before = len(os.listdir(B.store + "/endpoints"))

    def ask():
        while not stop.is_set():
            try:
                answers.append(env_of("blue")[0]["WHO"])
            except Exception as e:  # whatever it is, it is a gap
                failures.append(e)

    late = []
    long = threading.Thread(target=lambda: late.append(json.loads(invoke("blue", b'{"sleep": 1.5, "env": 1}')["Body"].read())))
    asking = threading.Thread(target=ask)
    long.start()
    until(lambda: arrived("blue") == 1)
    asking.start()
    sm.update_endpoint(EndpointName="blue", EndpointConfigName="blue-2")
    d = sm.describe_endpoint(EndpointName="blue")
    assert d["EndpointStatus"] == "Updating" and d["EndpointConfigName"] == "blue"
    assert d["PendingDeploymentSummary"]["EndpointConfigName"] == "blue-2"
    assert message_of(sm.update_endpoint, EndpointName="blue", EndpointConfigName="blue-2").startswith("Cannot update in-progress")
    d = await_update("blue")
    assert d["EndpointStatus"] == "InService" and d["EndpointConfigName"] == "blue-2" and "FailureReason" not in d
    assert env_of("blue")[0]["WHO"] == "b"
    stop.set()
    asking.join()
    long.join()
    assert not failures, failures[:3]
    assert late and late[0]["WHO"] == "a"
    assert "a" in answers
    end = time.time() + 10
    while len(os.listdir(B.store + "/endpoints")) > before:
        assert time.time() < end, "the old deployment's files are gone"
        time.sleep(0.05)


def test_update_that_fails_rolls_back():
    sm = B.client("sagemaker")
    model("bad", CRASHES)
    config("blue-3", ("AllTraffic", "bad", 1, 1))
    sm.update_endpoint(EndpointName="blue", EndpointConfigName="blue-3")
    d = await_update("blue")
    assert d["EndpointStatus"] == "InService" and d["EndpointConfigName"] == "blue-2"
    assert "did not pass the ping health check" in d["FailureReason"]
    assert env_of("blue")[0]["WHO"] == "b"
    assert message_of(sm.update_endpoint, EndpointName="blue", EndpointConfigName="none").startswith(
        "Could not find endpoint configuration")
    assert message_of(sm.update_endpoint, EndpointName="none", EndpointConfigName="blue-2").startswith("Could not find endpoint ")


def test_update_retains_what_was_scaled():
    sm = B.client("sagemaker")
    sm.update_endpoint_weights_and_capacities(EndpointName="blue", DesiredWeightsAndCapacities=[
        {"VariantName": "AllTraffic", "DesiredInstanceCount": 2, "DesiredWeight": 5}])
    await_update("blue")
    sm.update_endpoint(EndpointName="blue", EndpointConfigName="blue", RetainAllVariantProperties=True,
                       ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}])
    v = await_update("blue")["ProductionVariants"][0]
    assert (v["CurrentInstanceCount"], v["CurrentWeight"]) == (2, 1.0)
    sm.update_endpoint(EndpointName="blue", EndpointConfigName="blue-2")
    assert await_update("blue")["ProductionVariants"][0]["CurrentInstanceCount"] == 1


def test_one_instance_crashes():
    """The other one answers meanwhile, and the crashed one is back."""
    create("pair", ("AllTraffic", "va", 2, 1))
    try:
        invoke("pair", b'{"exit": 1}')
    except Exception:
        pass
    for _ in range(20):
        env_of("pair")
    end = time.time() + 20
    while B.client("sagemaker").describe_endpoint(EndpointName="pair")["ProductionVariants"][0]["CurrentInstanceCount"] < 2:
        assert time.time() < end
        time.sleep(0.05)


def test_failed_endpoint_takes_only_delete():
    sm = B.client("sagemaker")
    config("never-well", ("AllTraffic", "bad", 2, 1))
    sm.create_endpoint(EndpointName="never-well", EndpointConfigName="never-well")
    d = await_status("never-well", "Failed")
    assert "ProductionVariants" not in d
    assert "only DeleteEndpoint" in message_of(sm.update_endpoint, EndpointName="never-well", EndpointConfigName="blue-2")
    sm.delete_endpoint(EndpointName="never-well")
    await_status("never-well", "gone")


def test_restart_in_the_middle_of_an_update():
    """kill -9 while Updating: the old deployment is back, then the update is made."""
    sm = B.client("sagemaker")
    model("slow", (("export/Servo/1/saved_model.pb", b"x"), ("never-ready", b"")))
    config("blue-4", ("AllTraffic", "slow", 1, 1))
    sm.update_endpoint(EndpointName="blue", EndpointConfigName="blue-4")
    assert sm.describe_endpoint(EndpointName="blue")["EndpointStatus"] == "Updating"
    B.kill()
    B.start()
    d = await_status_any("blue", "Updating")
    assert d["EndpointConfigName"] == "blue-2" and d["PendingDeploymentSummary"]["EndpointConfigName"] == "blue-4"
    assert env_of("blue")[0]["WHO"] == "b"


def await_status_any(name, wanted, seconds=30):
    sm = B.client("sagemaker")
    end = time.time() + seconds
    while True:
        d = sm.describe_endpoint(EndpointName=name)
        if d["EndpointStatus"] == wanted:
            return d
        assert time.time() < end, d
        time.sleep(0.02)


def test_deploy_after_all():
    """What was there before goes on as before."""
    assert deploy("plain-again")["EndpointStatus"] == "InService"
    assert code_of(B.client("sagemaker").update_endpoint, EndpointName="plain-again", EndpointConfigName="-") == "ValidationException"
