"""Signs requests with AWS's own library: a list of cases in JSON on stdin, the list of their
Authorization headers on stdout. Exit status 77: botocore is not installed."""
import datetime
import json
import sys

try:
    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError:
    sys.exit(77)


def sign(case):
    when = datetime.datetime.fromtimestamp(case["seconds"], datetime.timezone.utc)

    class FixedClock(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return when.replace(tzinfo=None)

        @classmethod
        def now(cls, tz=None):
            return when if tz else when.replace(tzinfo=None)

    class FixedModule:
        datetime = FixedClock

    # botocore asks its own clock: by module, by class or by helper, as its versions differ.
    auth.datetime = FixedModule if hasattr(auth.datetime, "datetime") else FixedClock
    if hasattr(auth, "get_current_datetime"):
        auth.get_current_datetime = lambda remove_tzinfo=True: when.replace(tzinfo=None)

    class Signer(auth.S3SigV4Auth):
        def payload(self, request):
            return request.headers["x-amz-content-sha256"]

        def _modify_request_before_signing(self, request):
            wanted = request.headers["x-amz-content-sha256"]
            super()._modify_request_before_signing(request)
            del request.headers["X-Amz-Content-SHA256"]
            request.headers["x-amz-content-sha256"] = wanted

    request = AWSRequest(method=case["method"], url=case["url"], headers=case["headers"])
    credentials = Credentials("AKIDEXAMPLE", "a+secret/key", case["token"] or None)
    Signer(credentials, "s3", "eu-west-1").add_auth(request)
    return request.headers["Authorization"]


json.dump([sign(case) for case in json.load(sys.stdin)], sys.stdout)
