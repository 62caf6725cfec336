"""`make witness FUZZ=500`: random Dockerfiles, built by BuildKit and here, compared layer by layer."""
