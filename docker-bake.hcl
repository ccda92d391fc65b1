# Generated from the commands by tools/generate.py; do not edit.
#
#   env $(tools/images/inputs) docker buildx bake             all images
#   env $(tools/images/inputs) docker buildx bake k6-load     one
#   ... --set '*.platform=linux/amd64,linux/arm64' --push     for all platforms, to REPOSITORY

variable "REPOSITORY" {
  default = "ghcr.io/chaos-steps/chaos-steps"
}

variable "VERSION" {
  default = "0.1.0"
}

variable "REVISION" {
  default = "unknown"
}

variable "SOURCE_DATE_EPOCH" {
  default = "0"
}

variable "CREATED" {
  default = "1970-01-01T00:00:00Z"
}

target "common" {
  dockerfile = "images/Containerfile"
  args = {
    SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH
  }
  labels = {
    "org.opencontainers.image.version"  = VERSION
    "org.opencontainers.image.revision" = REVISION
    "org.opencontainers.image.created"  = CREATED
  }
}

group "default" {
  targets = [
    "consul-fetch",
    "experiment-check",
    "experiment-report",
    "fault-guard",
    "fault-revert",
    "fault-sweep",
    "http-probe",
    "k6-load",
    "k6-slo",
    "verdict-gate",
    "waf-inject",
    "zipkin-slo",
  ]
}

group "family-base" {
  targets = [
    "experiment-check",
    "fault-guard",
    "fault-revert",
    "fault-sweep",
    "http-probe",
    "verdict-gate",
    "waf-inject",
    "zipkin-slo",
  ]
}

group "family-consul" {
  targets = [
    "consul-fetch",
  ]
}

group "family-load" {
  targets = [
    "k6-load",
  ]
}

group "family-points" {
  targets = [
    "k6-slo",
  ]
}

group "family-report" {
  targets = [
    "experiment-report",
  ]
}

target "consul-fetch" {
  inherits = ["common"]
  target   = "consul-fetch"
  tags     = ["${REPOSITORY}/consul-fetch:${VERSION}"]
}

target "experiment-check" {
  inherits = ["common"]
  target   = "experiment-check"
  tags     = ["${REPOSITORY}/experiment-check:${VERSION}"]
}

target "waf-inject" {
  inherits = ["common"]
  target   = "waf-inject"
  tags     = ["${REPOSITORY}/waf-inject:${VERSION}"]
}

target "k6-load" {
  inherits = ["common"]
  target   = "k6-load"
  tags     = ["${REPOSITORY}/k6-load:${VERSION}"]
}

target "http-probe" {
  inherits = ["common"]
  target   = "http-probe"
  tags     = ["${REPOSITORY}/http-probe:${VERSION}"]
}

target "k6-slo" {
  inherits = ["common"]
  target   = "k6-slo"
  tags     = ["${REPOSITORY}/k6-slo:${VERSION}"]
}

target "zipkin-slo" {
  inherits = ["common"]
  target   = "zipkin-slo"
  tags     = ["${REPOSITORY}/zipkin-slo:${VERSION}"]
}

target "experiment-report" {
  inherits = ["common"]
  target   = "experiment-report"
  tags     = ["${REPOSITORY}/experiment-report:${VERSION}"]
}

target "fault-guard" {
  inherits = ["common"]
  target   = "fault-guard"
  tags     = ["${REPOSITORY}/fault-guard:${VERSION}"]
}

target "fault-revert" {
  inherits = ["common"]
  target   = "fault-revert"
  tags     = ["${REPOSITORY}/fault-revert:${VERSION}"]
}

target "fault-sweep" {
  inherits = ["common"]
  target   = "fault-sweep"
  tags     = ["${REPOSITORY}/fault-sweep:${VERSION}"]
}

target "verdict-gate" {
  inherits = ["common"]
  target   = "verdict-gate"
  tags     = ["${REPOSITORY}/verdict-gate:${VERSION}"]
}
