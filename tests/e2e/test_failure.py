"""When the machine fails: killed in the middle of load, no space on the disk.

Nothing acknowledged is lost, nothing is served unrecorded.
"""

import asyncio
import json
import os
import time

import httpx

from tests.e2e.conftest import gateway_served, wait_for
from tests.support.disks import small_disk
from tests.support.processes import free_port


def test_kill_9_loses_no_acknowledged_event(tmp_path):
    """Every answer that a visitor received has its decision in the record, also after kill -9 in the middle of load."""
    answered: list[str] = []
    with gateway_served(tmp_path) as gateway:

        async def load():
            async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=10) as client:
                try:
                    while True:
                        response = await client.get("/.gateway/whoami")
                        answered.append(response.headers["x-request-id"])
                except httpx.HTTPError:
                    return

        async def kill():
            while len(answered) < 400:
                await asyncio.sleep(0.01)
            gateway.process.kill()

        async def both():
            await asyncio.gather(kill(), *(load() for _ in range(8)))

        asyncio.run(both())
    with gateway_served(tmp_path) as gateway:
        events = gateway.records()
    decided = {
        e["metadata"].get("correlation_uid") for e in events if e["unmapped"]["gateway"].get("phase") == "decision"
    }
    assert len(answered) >= 400
    assert set(answered) <= decided
    assert [event["metadata"]["sequence"] for event in events] == list(range(len(events)))


def test_a_full_disk_refuses_and_recovers(tmp_path):
    """No space for the record: requests are refused with 503 and a reason, nothing is lost; it goes on by itself."""
    ops = free_port()
    env = {"GATEWAY_AUDIT__SEGMENT_SIZE": str(1024**2)}
    with (
        small_disk(tmp_path / "state", 8 * 1024**2) as disk,
        gateway_served(tmp_path, env=env, options=["--ops-port", str(ops)]) as gateway,
    ):
        accepted: list[str] = []
        with gateway.http() as client:
            first = client.get("/.gateway/whoami")
            assert first.status_code == 200
            filler = disk / "filler"
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            filler.write_bytes(b"x" * (free - 4096))
            refused = None
            for _ in range(6000):
                response = client.get("/.gateway/whoami", headers={"Accept": "application/json"})
                if response.status_code != 200:
                    refused = response
                    break
                accepted.append(response.headers["x-request-id"])
            assert refused is not None, "the disk never filled"
            assert (refused.status_code, refused.json()["reason"]) == (503, "audit-unavailable")
            assert "retry-after" in refused.headers
            assert client.get("/").status_code == 503
            readiness = httpx.get(f"http://127.0.0.1:{ops}/readyz", trust_env=False)
            assert (readiness.status_code, readiness.json()["record"]["state"]) == (503, "failed")
            filler.unlink()
            for _ in range(100):
                again = client.get("/.gateway/whoami")
                if again.status_code == 200:
                    break
                time.sleep(0.1)
            assert again.status_code == 200
            accepted.append(again.headers["x-request-id"])
        events = gateway.records()
        codes = [event["metadata"]["event_code"] for event in events]
        assert {"audit.failed", "audit.resumed", "audit.suppressed"} <= set(codes), json.dumps(codes[-5:])
        decided = {
            e["metadata"].get("correlation_uid") for e in events if e["unmapped"]["gateway"].get("phase") == "decision"
        }
        assert set(accepted) <= decided
        assert [event["metadata"]["sequence"] for event in events] == list(range(len(events)))


def test_what_is_left_of_the_space_is_for_what_is_under_way(tmp_path):
    """Without room for another segment nobody new is let in; who has a session goes on reading, and health answers."""
    ops = free_port()
    env = {"GATEWAY_AUDIT__SEGMENT_SIZE": str(1024**2)}
    with (
        small_disk(tmp_path / "state", 16 * 1024**2) as disk,
        gateway_served(tmp_path, env=env, options=["--ops-port", str(ops)]) as gateway,
    ):

        def report():
            return httpx.get(f"http://127.0.0.1:{ops}/readyz", trust_env=False)

        with gateway.http() as known, gateway.http() as new:
            assert known.get("/").status_code == 200
            assert (report().status_code, report().json()["record"]["space"]) == (200, "ample")
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            filler = disk / "filler"
            filler.write_bytes(b"x" * (free - 1536 * 1024))
            wait_for(report, lambda found: found.json()["record"]["space"] == "low")
            assert report().status_code == 200
            filler.write_bytes(b"x" * (free - 512 * 1024))
            wait_for(report, lambda found: found.json()["record"]["space"] == "exhausted")
            assert report().status_code == 503
            refused = new.get("/", headers={"Accept": "application/json"})
            assert (refused.status_code, refused.json()["reason"]) == (503, "audit-unavailable")
            assert int(refused.headers["retry-after"]) > 0
            assert known.get("/").status_code == 200
            assert known.post("/.gateway/csp-report", content="{}").status_code != 503
            assert new.get("/.gateway/whoami").status_code == 200
            filler.unlink()
            wait_for(report, lambda found: found.status_code == 200)
            assert new.get("/").status_code == 200
        told = [
            e["unmapped"]["gateway"]["details"]["space"]
            for e in gateway.records()
            if e["metadata"]["event_code"] == "audit.space"
        ]
        assert told == ["low", "exhausted", "ample"]


def test_reading_may_go_on_where_the_operator_says_so(tmp_path):
    """With `on_failure_hold = degrade` a failed record refuses every change, and lets pages be read, with an alarm."""
    env = {"GATEWAY_AUDIT__SEGMENT_SIZE": str(1024**2), "GATEWAY_AUDIT__ON_FAILURE_HOLD": "degrade"}
    with small_disk(tmp_path / "state", 8 * 1024**2) as disk, gateway_served(tmp_path, env=env) as gateway:
        with gateway.http() as client:
            assert client.get("/").status_code == 200
            filler = disk / "filler"
            filler.write_bytes(b"x" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - 4096))
            answer = wait_for(
                lambda: [client.post("/.gateway/csp-report", content="{}") for _ in range(100)][-1],
                lambda found: found.status_code == 503,
                60,
            )
            assert "retry-after" in answer.headers
            assert client.get("/").status_code == 200
            filler.unlink()
            wait_for(lambda: client.post("/.gateway/csp-report", content="{}"), lambda found: found.status_code != 503)
        lost = [e for e in gateway.records() if e["metadata"]["event_code"] == "audit.suppressed"]
        assert lost, "what was served unrecorded must be counted in the record"
        assert "audit.degraded" in gateway.process.output()
