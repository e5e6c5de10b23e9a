"""Measurements that the documentation quotes. Each module is runnable and writes JSON."""
