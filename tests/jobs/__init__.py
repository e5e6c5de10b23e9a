"""Tests of vidsr.jobs."""
