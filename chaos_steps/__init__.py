"""Small commands for chaos experiments on HTTP services, packaged as Tekton Tasks."""

__version__ = "0.1.0"
