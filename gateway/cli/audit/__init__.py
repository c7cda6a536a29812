"""`gateway audit`: read the record, question it, prove it, ship it. One file a verb."""

import typer

from gateway.cli.lazy import Verb, lazy_group, register

VERBS: tuple[Verb, ...] = (
    Verb("tail", "gateway.cli.audit.tail", "tail", "Print the last events, and go on while they are recorded."),
    Verb("ship", "gateway.cli.audit.ship", "ship", "Send the record to a receiver, at least once and in order."),
    Verb("query", "gateway.cli.audit.query", "query", "Ask the record: events, counts, questions of a list, SQL."),
    Verb("explain", "gateway.cli.audit.explain", "explain", "Show an exchange, and make its decisions again."),
    Verb("timeline", "gateway.cli.audit.timeline", "timeline", "Show what a session or a user did, in order."),
    Verb("export", "gateway.cli.audit.export", "export", "Write the record in another schema: OCSF, ECS, CEF, CSV."),
    Verb("hash", "gateway.cli.audit.hash", "hash_value", "Print what stands in the record for a known person."),
    Verb("pseudonyms", "gateway.cli.audit.pseudonym_keys", "app", "See, replace and destroy the keys of pseudonyms."),
    Verb("verify", "gateway.cli.audit.verify", "verify", "Verify the record: events, commits, keys, anchors."),
    Verb("verifier", "gateway.cli.audit.verifier", "verifier", "Print the verifier, to be used elsewhere."),
    Verb("key", "gateway.cli.audit.key", "key", "Print the keys by which each log is known."),
    Verb("prove", "gateway.cli.audit.prove", "prove", "Write one event, and the proof that it is in the record."),
    Verb("check-proof", "gateway.cli.audit.check_proof", "check", "Check one event and its proof, offline."),
    Verb("consistency", "gateway.cli.audit.consistency", "consistency", "Prove that the log continues a checkpoint."),
    Verb("segments", "gateway.cli.audit.segments", "segments", "List the segments of every log, and what holds them."),
    Verb("seal", "gateway.cli.audit.seal", "seal", "Seal by hand what waits, when the gateway does not run."),
    Verb("prune", "gateway.cli.audit.prune", "prune", "Remove old events, segment by segment."),
    Verb("hold", "gateway.cli.audit.hold", "app", "Keep events from being removed."),
    Verb("anchors", "gateway.cli.audit.anchors", "anchors", "Show where checkpoints are kept, and how old they are."),
    Verb("witness", "gateway.cli.audit.witness", "app", "Sign the checkpoints of other logs; show our anchor key."),
)

app = typer.Typer(
    cls=lazy_group(VERBS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Read the record: follow it, question it, explain it, prove it.",
)
register(app, VERBS)
