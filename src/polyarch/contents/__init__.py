"""What layers hold, in any form: listings, facts about files, and unpacked snapshots."""
