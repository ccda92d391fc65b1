"""--side client judges the calls of a caller: what a gateway in between aborts is seen there only."""

from __future__ import annotations

from typing import Any

from tests.judge.zipkin_slo.conftest import Judge
from tests.judge.zipkin_slo.traffic import Traffic
from tests.servers.zipkin import Zipkin


def calls_of(made: Traffic, caller: str) -> None:
    """A shop whose calls to the service are told by the service's name, by its host, or by who answered."""
    forms: list[tuple[dict[str, Any], bool, bool]] = [
        # What the call says of the other side, whether the service answered, whether the call is one to it.
        ({"serviceName": made.service.upper()}, True, True),
        ({"serviceName": made.service}, False, True),
        ({"serviceName": f"{made.service}.production.svc"}, False, True),
        ({"ipv4": "10.0.0.9"}, True, True),
        ({"serviceName": "database"}, False, False),
        ({"serviceName": f"{made.service}-admin"}, True, False),
    ]
    for number in range(300):
        at_ms = 100 * number
        endpoint, answered, counted = forms[number % len(forms)]
        trace_id, root_id, call_id = made.ids()
        failed, duration = not answered and counted, 20_000 + number
        made.spans += [
            made.span(trace_id, root_id, "SERVER", at_ms, 10**6, service=caller),
            made.span(
                trace_id,
                call_id,
                "CLIENT",
                at_ms + 1,
                duration,
                service=caller,
                parentId=root_id,
                remoteEndpoint=endpoint,
                failed=failed,
            ),
        ]
        if answered:
            # Half of the service's spans share the id of the call, as in B3.
            same = number % 12 < 6
            where = {"parentId": root_id, "shared": True} if same else {"parentId": call_id}
            made.spans.append(made.span(trace_id, call_id if same else made.ids()[1], "SERVER", at_ms + 2, 1, **where))
        if counted:
            made.expect(duration, failed=failed)
    made.random.shuffle(made.spans)


def test_the_calls_of_the_caller_are_judged(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    shop = f"Shop-of-{made.service}"
    calls_of(made, shop)
    zipkin.post(made.spans)
    finished = judge.window(zipkin.url, made, "--side", "client", "--caller", shop)
    assert finished.results == {"verdict": "pass", **made.results}
    assert made.failures == 100
    assert judge.verdict.notes == ()

    # None of the failed ones came to the service.
    served = judge.window(zipkin.url, made)
    assert (served.results["success-rate"], served.results["requests"]) == ("1", "150")


def test_failed_calls_that_name_nobody_are_not_judged_in_silence(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    shop = f"Shop-of-{made.service}"
    for number in range(6):
        trace_id, root_id, call_id = made.ids()
        below: dict[str, Any] = {"service": shop, "parentId": root_id, "failed": number == 0}
        remote: dict[str, Any] = {"remoteEndpoint": {"serviceName": made.service}} if number > 3 else {}
        made.spans += [
            made.span(trace_id, root_id, "SERVER", number, 1000, service=shop),
            made.span(trace_id, call_id, "CLIENT", number, 1000, **below, **remote),
        ]
    made.expect(1000)
    made.expect(1000)
    zipkin.post(made.spans)
    finished = judge.window(zipkin.url, made, "--side", "client", "--caller", shop)
    assert finished.results == {"verdict": "pass", **made.results}
    (note,) = judge.verdict.notes
    assert note == f"4 calls of {shop.lower()} name no service and none answered: they are not among the judged ones"


def test_a_caller_that_calls_others_only_has_nothing_to_judge(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    shop = f"Shop-of-{made.service}"
    made.request(0, service=shop, remoteEndpoint={"serviceName": "database"})
    zipkin.post(made.spans)
    finished = judge.window(zipkin.url, made, "--side", "client", "--caller", shop)
    assert finished.code == 5
    assert "of the 1 traces with" in finished.stderr
    assert f"none has a CLIENT span of it that calls {made.service.lower()}" in finished.stderr
