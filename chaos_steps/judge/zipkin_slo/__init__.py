"""zipkin-slo: judge what the traces of a service say."""
