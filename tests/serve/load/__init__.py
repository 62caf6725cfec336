"""A served store under load and faults: killed, on a full disk, with slow and rude clients, beside collections."""
