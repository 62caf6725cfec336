"""Signatures of images: with a key, or with an identity through Sigstore's services. The formats are cosign's."""
