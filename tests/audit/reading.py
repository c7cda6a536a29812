"""Reads a log as a stranger would: files in order of their names, lines, JSON."""

import json


def lines(directory):
    return [line for path in sorted(directory.glob("seg-*.jsonl")) for line in path.read_bytes().splitlines()]


def events(directory):
    return [event for event in map(json.loads, lines(directory)) if "metadata" in event]


def codes(directory):
    return [event["metadata"]["event_code"] for event in events(directory)]


def sequences(directory):
    return [event["metadata"]["sequence"] for event in events(directory)]


def details(directory, code):
    return [
        event["unmapped"]["gateway"]["details"]
        for event in events(directory)
        if event["metadata"]["event_code"] == code
    ]
