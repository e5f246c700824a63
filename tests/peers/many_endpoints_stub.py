"""many_endpoints_stub.py PORT N: an account with N endpoints, 50 ms away: enough of SageMaker, STS and S3 for a mount to list and
describe. Every 9th ListEndpoints is throttled. GET /_/counts tells how often each operation was called and starts anew;
/_/delete/NAME and /_/create/NAME change the account from elsewhere; /_/hold/1 withholds every answer until /_/hold/0."""
import asyncio
import collections
import json
import sys
import time

LATENCY, THROTTLE = 0.05, 9
STARTED = time.time() - 86400


class Account:
    def __init__(self, n):
        self.names = [f"ep-{i:05}" for i in range(n)]
        self.counts = collections.Counter()
        self.lists = 0
        self.going = asyncio.Event()
        self.going.set()

    def summary(self, name):
        return {"EndpointName": name, "EndpointArn": f"arn:aws:sagemaker:eu-west-1:123456789012:endpoint/{name}",
                "CreationTime": STARTED, "LastModifiedTime": STARTED, "EndpointStatus": "InService"}

    def list_endpoints(self, q):
        self.lists += 1
        if self.lists % THROTTLE == 0:
            return 400, {"__type": "ThrottlingException", "message": "Rate exceeded"}
        size = q.get("MaxResults", 10)
        # The token is the last name given, so that a deletion does not shift the pages.
        rest = [n for n in self.names if n > q.get("NextToken", "")]
        out = {"Endpoints": [self.summary(n) for n in rest[:size]]}
        if len(rest) > size:
            out["NextToken"] = rest[size - 1]
        return 200, out

    def describe_endpoint(self, q):
        if q["EndpointName"] not in self.names:
            return 400, {"__type": "ValidationException", "message": f"Could not find endpoint \"{q['EndpointName']}\"."}
        return 200, self.summary(q["EndpointName"]) | {"EndpointConfigName": f"c-{q['EndpointName']}", "ProductionVariants": [
            {"VariantName": "AllTraffic", "CurrentInstanceCount": 1, "DesiredInstanceCount": 1}]}

    def describe_endpoint_config(self, q):
        return 200, {"EndpointConfigName": q["EndpointConfigName"], "EndpointConfigArn": "arn:aws:sagemaker:::endpoint-config/c",
                     "CreationTime": STARTED, "ProductionVariants": [
                         {"VariantName": "AllTraffic", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}]}

    def describe_model(self, q):
        return 200, {"ModelName": q["ModelName"], "ModelArn": "arn:aws:sagemaker:::model/m", "CreationTime": STARTED,
                     "ExecutionRoleArn": "arn:aws:iam::123456789012:role/r",
                     "PrimaryContainer": {"Image": "x/y:1", "ModelDataUrl": "s3://elsewhere/model.tar.gz"}}

    def sagemaker(self, action, body):
        known = {"ListModels": lambda q: (200, {"Models": []}),
                 "ListEndpointConfigs": lambda q: (200, {"EndpointConfigs": []}), "ListEndpoints": self.list_endpoints, "DescribeEndpoint": self.describe_endpoint,
                 "DescribeEndpointConfig": self.describe_endpoint_config, "DescribeModel": self.describe_model}
        self.counts[action] += 1
        if action not in known:
            return 400, {"__type": "AccessDeniedException", "message": f"not authorized to perform: sagemaker:{action}"}
        return known[action](json.loads(body or "{}"))

    def control(self, what, arg):
        if what == "counts":
            counts, self.counts = self.counts, collections.Counter()
            return counts
        if what == "delete":
            self.names.remove(arg)
        elif what == "create":
            self.names = sorted([*self.names, arg])
        elif what == "hold" and arg == "1":
            self.going.clear()
        elif what == "hold":
            self.going.set()
        return {}

    async def answer(self, method, path, headers, body):
        if path.startswith("/_/"):
            what, _, arg = path[3:].partition("/")
            return 200, json.dumps(self.control(what, arg)).encode()
        await asyncio.sleep(LATENCY)
        await self.going.wait()
        if "x-amz-target" in headers:
            status, out = self.sagemaker(headers["x-amz-target"].split(".")[1], body)
            return status, json.dumps(out).encode()
        if method == "POST" and b"GetCallerIdentity" in body:
            return 200, (b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
                         b"<Arn>arn:aws:iam::123456789012:user/u</Arn><UserId>U</UserId><Account>123456789012</Account>"
                         b"</GetCallerIdentityResult></GetCallerIdentityResponse>")
        self.counts[f"S3 {method}"] += 1
        return 200, b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'

    async def connection(self, reader, writer):
        try:
            while request := (await reader.readline()).split():
                headers = {}
                while (line := await reader.readline()).strip():
                    name, _, value = line.decode("latin-1").partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, out = await self.answer(request[0].decode(), request[1].decode(), headers, body)
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(out)}\r\nx-amzn-RequestId: r\r\n"
                             f"x-amz-bucket-region: eu-west-1\r\n\r\n".encode() + (b"" if request[0] == b"HEAD" else out))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def main(port, n):
    server = await asyncio.start_server(Account(int(n)).connection, "127.0.0.1", int(port), backlog=1024)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
