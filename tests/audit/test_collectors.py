"""The examples in deploy/ that take the record elsewhere: valid, and true about real files."""

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from gateway.cli.audit.ship import ship
from tests.audit.shipping import made

DEPLOY = Path(__file__).parents[2] / "deploy"
STATE = "/var/lib/gateway"
# Debian's own parser of YAML, for what is YAML 1.1 to the programs that read it.
YAML = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"


def yaml(name):
    done = subprocess.run(
        ["/usr/bin/python3", "-c", YAML], input=(DEPLOY / name).read_bytes(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def vector():
    """What Vector reads, and which lines it keeps."""
    found = tomllib.loads((DEPLOY / "collectors" / "vector.toml").read_text())
    condition = found["transforms"]["events"]["condition"]
    (prefix,) = re.fullmatch(r'starts_with\(string!\(\.message\), "((?:\\.|[^"])*)"\)', condition).groups()
    prefix = json.loads(f'"{prefix}"')
    return found["sources"]["gateway"]["include"], lambda line: line.startswith(prefix)


def otelcol():
    receiver = yaml("collectors/otelcol.yaml")["receivers"]["filelog/gateway"]
    (dropped,) = [each["expr"] for each in receiver["operators"] if each["type"] == "filter"]
    (prefix,) = re.fullmatch(r'not \(body startsWith "((?:\\.|[^"])*)"\)', dropped).groups()
    prefix = json.loads(f'"{prefix}"')
    return receiver["include"], lambda line: line.startswith(prefix)


def fluent_bit():
    pipeline = yaml("collectors/fluent-bit.yaml")["pipeline"]
    (pattern,) = [each["regex"] for each in pipeline["filters"] if each["name"] == "grep"]
    field, _, expression = pattern.partition(" ")
    assert field == pipeline["inputs"][0]["key"]
    return [pipeline["inputs"][0]["path"]], lambda line: re.search(expression, line) is not None


COLLECTORS = [("Vector", vector), ("OpenTelemetry Collector", otelcol), ("Fluent Bit", fluent_bit)]


@pytest.mark.parametrize("collector", [row[1] for row in COLLECTORS], ids=[row[0] for row in COLLECTORS])
def test_a_collector_finds_every_segment_and_keeps_every_event(tmp_path, collector):
    """Its pattern matches the segments of a real record, nothing else; its filter keeps the events, nothing else."""
    patterns, keeps = collector()
    directory = made(tmp_path, 60, segment_size=40_000)
    assert all(pattern.startswith(STATE + "/") for pattern in patterns)
    found = sorted(path for each in patterns for path in tmp_path.glob(each.removeprefix(STATE + "/")))
    assert found == sorted(directory.glob("seg-*.jsonl")) and len(found) > 1
    lines = [line for path in found for line in path.read_text().splitlines()]
    kept = [json.loads(line) for line in lines if keeps(line)]
    assert [event["metadata"]["sequence"] for event in kept] == list(range(62))
    assert all(isinstance(event["time"], int) and event["metadata"]["uid"] for event in kept)


def test_vector_drops_nothing():
    """End-to-end acknowledgements, a buffer on the disk that blocks when it is full, one request at a time."""
    found = tomllib.loads((DEPLOY / "collectors" / "vector.toml").read_text())
    sink = found["sinks"]["receiver"]
    assert sink["acknowledgements"] == {"enabled": True}
    assert (sink["buffer"]["type"], sink["buffer"]["when_full"]) == ("disk", "block")
    assert sink["buffer"]["max_size"] >= 268435488  # what Vector demands
    assert sink["inputs"] == ["events"] and found["transforms"]["events"]["inputs"] == ["gateway"]


def test_the_opentelemetry_collector_drops_nothing():
    """Offsets and queue on the disk, retries without end, no batch in memory; every component is defined and used."""
    found = yaml("collectors/otelcol.yaml")
    (receiver,), (exporter,) = found["receivers"].values(), found["exporters"].values()
    assert receiver["storage"] in found["extensions"]
    assert receiver["start_at"] == "beginning"
    queue = exporter["sending_queue"]
    assert queue["storage"] in found["extensions"] and queue["block_on_overflow"] is True
    assert receiver["retry_on_failure"]["max_elapsed_time"] == exporter["retry_on_failure"]["max_elapsed_time"] == "0s"
    assert sorted(found["service"]["extensions"]) == sorted(found["extensions"])
    (pipeline,) = found["service"]["pipelines"].values()
    assert pipeline == {"receivers": list(found["receivers"]), "exporters": list(found["exporters"])}


def test_fluent_bit_drops_nothing():
    """Offsets and chunks on the disk, names compared beside inodes, retries without end, no limit that drops."""
    found = yaml("collectors/fluent-bit.yaml")
    tail, http = found["pipeline"]["inputs"][0], found["pipeline"]["outputs"][0]
    assert found["service"]["storage.path"] and tail["storage.type"] == "filesystem"
    assert tail["db"] and tail["db.compare_filename"] is True and tail["read_from_head"] is True
    assert http["retry_limit"] == "no_limits" and "storage.total_limit_size" not in http


def options(command):
    """The options in a command line."""
    return {word for word in command if word.startswith("--")}


def known():
    """The options that the command has."""
    holder = typer.Typer()
    holder.command("ship")(ship)
    return {name for parameter in get_command(holder).params for name in parameter.opts}


def test_the_unit_runs_what_there_is():
    """The systemd unit starts `gateway audit ship` with options that it has, as the gateway's user."""
    text = (DEPLOY / "systemd" / "gateway-audit-ship.service").read_text()
    (start,) = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    words = shlex.split(start)
    assert words[1:3] == ["audit", "ship"]
    given = options(words) | options(shlex.split(re.search(r'OPTIONS="(.+)"', text)[1]))
    assert given == {"--to", "--ca"} and given <= known()
    assert "\nUser=gateway\n" in text and "\nRestart=always\n" in text


def test_the_composed_service_runs_what_there_is():
    """The addition to compose.yaml ships from the gateway's volume, as its user, with options that there are."""
    added, base = yaml("compose.ship.yaml"), yaml("compose.yaml")
    service, gateway = added["services"]["ship"], base["services"]["gateway"]
    assert service["command"][:2] == ["audit", "ship"]
    assert options(service["command"]) == {"--to", "--ca"} <= known()
    assert service["user"] == gateway["user"] and service["image"] == gateway["image"]
    assert service["volumes"][0] in gateway["volumes"]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
