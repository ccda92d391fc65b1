// Runs the imported script as an open model: our rate and duration, whatever load its own options ask for.
import * as script from "@SCRIPT@";

if (typeof script.default !== "function") {
  throw new Error("the script exports no default function");
}

// Of the script's options these say how much load there is, or would hold it back.
const { scenarios, vus, duration, iterations, stages, rps, minIterationDuration, paused, executionSegment, ...kept } =
  script.options || {};

export const options = Object.assign(kept, {
  scenarios: { load: Object.assign({ executor: "constant-arrival-rate" }, @SCENARIO@) },
  // All that is read; the others (a tag for every URL, say) only make k6's output larger.
  systemTags: ["scenario", "status", "error_code"],
});

export function setup() {
  return script.setup && script.setup();
}

export function teardown(data) {
  return script.teardown && script.teardown(data);
}

export default function (data) {
  return script.default(data);
}
