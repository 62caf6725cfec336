"""moto's server for S3 on loopback. It checks signatures."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

from polyarch.buildcache.s3_signature import S3Credentials

_numbers = itertools.count(1)


class S3Server:
    """A running server. `credentials` may do everything."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._admin = self._connect("iam", "admin", "admin")
        user = f"cache-{next(_numbers)}"
        self._admin.create_user(UserName=user)
        policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
        self._admin.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=policy)
        key = self._admin.create_access_key(UserName=user)["AccessKey"]
        self.credentials = S3Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        self._s3 = self._connect("s3", self.credentials.key, self.credentials.secret)

    def bucket(self) -> str:
        """The name of a new bucket."""
        name = f"bucket-{next(_numbers)}"
        self._s3.create_bucket(Bucket=name)
        return name

    def attributes(self, bucket: str) -> dict[str, str]:
        """The attributes of a cache in a bucket."""
        return {
            "bucket": bucket,
            "endpoint_url": self.url,
            "use_path_style": "true",
            "access_key_id": self.credentials.key,
            "secret_access_key": self.credentials.secret,
        }

    def unfinished(self, bucket: str) -> list[str]:
        """The keys of uploads that were begun and not finished."""
        found = self._s3.list_multipart_uploads(Bucket=bucket)
        return [upload["Key"] for upload in found.get("Uploads", ())]

    def write(self, bucket: str, key: str, content: bytes) -> None:
        """Write an object, as another program does."""
        self._s3.put_object(Bucket=bucket, Key=key, Body=content)

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object, as a rule of the bucket does."""
        self._s3.delete_object(Bucket=bucket, Key=key)

    def modified(self, bucket: str, key: str) -> Any:
        """When an object was written."""
        return self._s3.head_object(Bucket=bucket, Key=key)["LastModified"]

    def metadata(self, bucket: str, key: str) -> dict[str, str]:
        """An object's own metadata."""
        return dict(self._s3.head_object(Bucket=bucket, Key=key)["Metadata"])

    def keys(self, bucket: str) -> list[str]:
        """The keys of all objects."""
        return [entry["Key"] for entry in self._s3.list_objects_v2(Bucket=bucket).get("Contents", ())]

    def _connect(self, service: str, key: str, secret: str) -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server without buckets, until the block ends."""
    import moto.settings
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    unchecked = moto.settings.INITIAL_NO_AUTH_ACTION_COUNT
    try:
        host, port = running.get_host_and_port()
        server = S3Server(f"http://{host}:{port}")
        # From now on, signatures and policies are checked.
        moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        yield server
    finally:
        moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = unchecked
        running.stop()
