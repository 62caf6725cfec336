"""Descriptors: the form in which they are written."""

from polyarch.oci import descriptor as descriptors


def test_the_fields_are_in_the_order_of_buildkit() -> None:
    """Otherwise an index that buildx makes of the same images has another digest."""
    entry = descriptors.parse(
        {
            "artifactType": "a/b",
            "platform": {"architecture": "amd64", "os": "linux"},
            "data": "e30=",
            "annotations": {"a": "b"},
            "urls": ["http://a"],
            "size": 2,
            "digest": "sha256:" + "0" * 64,
            "mediaType": "c/d",
        }
    )
    assert list(descriptors.to_dict(entry)) == [
        "mediaType",
        "digest",
        "size",
        "urls",
        "annotations",
        "data",
        "platform",
        "artifactType",
    ]
