"""Workflows of GitHub Actions, run here: jobs, matrices, outputs, artifacts, and what docker's actions call."""
