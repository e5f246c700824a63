"""ModelDataSource: an archive, one object, all objects under a prefix; and keys that cannot be files."""
import glob
import json
import time

from harness import B, IMAGE, MIB, archive, await_status, invoke, message_of


def put(**objects):
    s3 = B.client("s3")
    for key, body in objects.items():
        s3.put_object(Bucket="models", Key=key, Body=body)


def model(name, uri, kind="S3Prefix", compression="None", **more):
    return B.client("sagemaker").create_model(ModelName=name, ExecutionRoleArn=B.run["role"], PrimaryContainer=dict({
        "Image": IMAGE, "ModelDataSource": {"S3DataSource": {
            "S3Uri": uri, "S3DataType": kind, "CompressionType": compression}}}, **more))


def deploy(name, wait="InService"):
    sm = B.client("sagemaker")
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
        {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}])
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return await_status(name, wait)


def files_of(name):
    return json.loads(invoke(name, b'{"files": true}')["Body"].read())


def test_prefix():
    put(**{"tree/1/saved_model.pb": b"pb", "tree/1/variables/weights": b"w" * (3 * MIB), "tree/code/inference.py": b"", "treeless": b"x",
           "tree/f\u00fcr": b"utf-8"})
    model("tree", "s3://models/tree/")
    deploy("tree")
    assert files_of("tree") == {"1/saved_model.pb": 2, "1/variables/weights": 3 * MIB, "code/inference.py": 0, "f\u00fcr": 5}


def test_one_object():
    put(**{"single/weights.bin": b"12345"})
    model("single", "s3://models/single/weights.bin", "S3Object")
    deploy("single")
    assert files_of("single") == {"weights.bin": 5}


def test_archive_as_a_source():
    put(**{"packed/model.tar.gz": archive()})
    model("packed", "s3://models/packed/model.tar.gz", "S3Object", "Gzip")
    deploy("packed")
    assert files_of("packed") == {"export/Servo/1/saved_model.pb": 100}


def test_source_refusals():
    assert message_of(model, "no", "s3://models/nothing-here/") == "Could not find model data at s3://models/nothing-here/."
    assert message_of(model, "no", "s3://models/none.tar.gz", "S3Object") == "Could not find model data at s3://models/none.tar.gz."
    assert "must end with a slash" in message_of(model, "no", "s3://models/tree")
    assert "does not go with" in message_of(model, "no", "s3://models/tree/", "S3Prefix", "Gzip")
    assert "exclude each other" in message_of(model, "no", "s3://models/tree/", ModelDataUrl="s3://models/tree/x.tar.gz")
    assert "enum value set" in message_of(model, "no", "s3://models/tree/", "S3Bucket")


def test_keys_that_cannot_be_files():
    for n, keys in enumerate((["a/"], ["a//b"], ["a/../b"], ["./a"], ["x" * 256], ["a", "a/b"])):
        name = "keys-%d" % n
        put(**{"%s/%s" % (name, k): b"x" for k in keys})
        model(name, "s3://models/%s/" % name)
        reason = deploy(name, "Failed")["FailureReason"]
        assert "cannot be a file's name" in reason, (keys, reason)


def script_mode(name, url, wait="InService", image="683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"):
    put(**{"script/model.tar.gz": archive()})
    B.client("sagemaker").create_model(ModelName=name, ExecutionRoleArn=B.run["role"], PrimaryContainer={
        "Image": image, "ModelDataUrl": "s3://models/script/model.tar.gz",
        "Environment": {"SAGEMAKER_PROGRAM": "entry.py", "SAGEMAKER_SUBMIT_DIRECTORY": url}})
    return deploy(name, wait)


def code_of(name):
    return json.loads(invoke(name, b'{"files": "code"}')["Body"].read())


def test_submitted_code():
    """What the container would download is there; a container that does not download is left alone."""
    put(**{"script/sourcedir.tar.gz": archive((("entry.py", b"pass"), ("lib/more.py", b"")))})
    script_mode("submitted", "s3://models/script/sourcedir.tar.gz")
    assert code_of("submitted") == {"entry.py": 4, "lib/more.py": 0}
    assert files_of("submitted") == {"export/Servo/1/saved_model.pb": 100}
    script_mode("of-1-10", "s3://models/script/sourcedir.tar.gz",
                image="520713654638.dkr.ecr.us-east-1.amazonaws.com/sagemaker-tensorflow:1.10.0-cpu-py2")
    assert code_of("of-1-10") == {"entry.py": 4, "lib/more.py": 0}
    script_mode("beside", "/opt/ml/model/code")
    assert code_of("beside") == {}
    script_mode("ignored", "s3://models/script/nothing.tar.gz", image=IMAGE)
    assert code_of("ignored") == {}
    reason = script_mode("no-code", "s3://models/script/nothing.tar.gz", "Failed")["FailureReason"]
    assert "SAGEMAKER_SUBMIT_DIRECTORY: Could not find model data at s3://models/script/nothing.tar.gz." in reason, reason


def log_of(name):
    return "".join(open(path).read() for path in glob.glob(B.store + "/logs/%s/*/*/log" % name))


def test_packages_are_installed_by_a_process_of_their_own():
    """It has the network, which the model server has not; both have the scratch directory; each start installs anew."""
    put(**{"wants/model.tar.gz": archive((("export/Servo/1/saved_model.pb", b"x"), ("code/requirements.txt", b"six")))})
    model("wants", "s3://models/wants/model.tar.gz", "S3Object", "Gzip")
    deploy("wants")
    assert "installed six" in log_of("wants")
    assert json.loads(invoke("wants", b'{"env": true}')["Body"].read())["TMPDIR"]
    try:
        invoke("wants", b'{"exit": 1}')
    except Exception:
        pass
    end = time.time() + 20
    while log_of("wants").count("echo server is ready") < 2:
        assert time.time() < end
        time.sleep(0.05)
    assert log_of("wants").count("installed six") == 2


def test_packages_that_cannot_be_installed():
    put(**{"fails/model.tar.gz": archive((("export/Servo/1/saved_model.pb", b"x"), ("code/requirements.txt", b"fail")))})
    model("fails", "s3://models/fails/model.tar.gz", "S3Object", "Gzip")
    assert "cannot install the packages" in deploy("fails", "Failed")["FailureReason"]
