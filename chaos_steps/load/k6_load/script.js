// The built-in load: one GET of TARGET_URL an iteration, traced, and marked with the run.
import http from "k6/http";

export const options = { discardResponseBodies: true };

const RUN = __ENV.CHAOS_RUN;
const TIMEOUT = __ENV.CHAOS_REQUEST_TIMEOUT;

// Random lower-case hexadecimal digits, eight at a time.
function hex(words) {
  let text = "";
  for (let i = 0; i < words; i++) {
    text += ((Math.random() * 0x100000000) >>> 0).toString(16).padStart(8, "0");
  }
  return text;
}

export default function () {
  const trace = hex(4);
  const span = hex(2);
  http.get(__ENV.TARGET_URL, {
    redirects: 0, // A redirect is the target's answer; following it would make two requests of one.
    timeout: TIMEOUT,
    headers: {
      traceparent: `00-${trace}-${span}-01`, // W3C Trace Context
      b3: `${trace}-${span}-1`, // B3, single header
      "X-B3-TraceId": trace, // B3, several headers: all that some older services know
      "X-B3-SpanId": span,
      "X-B3-Sampled": "1",
      "X-Chaos-Run": RUN,
    },
  });
}
