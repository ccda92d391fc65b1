"""The real servers of the tests: one module per server, each with a class that is a context manager.

Every server listens on 127.0.0.1, on ports that the kernel chose, and keeps its files in a temporary folder.
"""
