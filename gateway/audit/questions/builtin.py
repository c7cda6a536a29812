"""The questions that reviewers ask most: each with a name, a sentence and the SQL, to read, to change and to run.

In the SQL, `{asked}` stands for what is asked for besides: from `$since` to `$until`, and what the qualifiers say
(`{terms}`: those alone). `$limit` is the most rows. Times are UTC.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Question:
    """A built-in question. `since`: how far it looks back when nobody says. `needs`: a qualifier that must be there."""

    name: str
    sentence: str
    sql: str
    since: str = "7d"
    needs: str | None = None


QUESTIONS: Final = (
    Question(
        "denied-by-client",
        "Who was refused: clients by refusals, with the reasons.",
        # The outcome of a request that was refused at the door says so once more: it counts only when something later
        # has refused what a rule had allowed. So nothing has to be compared by its request id.
        """
        WITH refusals AS (
            SELECT client, "user", reason, min(time) AS begin, max(time) AS finish,
                   count(*) FILTER (phase <> 'outcome' OR (rule IS NOT NULL AND reason NOT IN
                       ('denied-by-rule', 'sign-in-required', 'step-up-required', 'not-found'))) AS refused
            FROM events WHERE decision = 'denied' AND {asked} GROUP BY client, "user", reason
        )
        SELECT client, sum(refused)::BIGINT AS refused, count(DISTINCT "user") AS users,
               array_to_string(list_sort(list(DISTINCT reason))[:5], ', ') AS reasons,
               min(begin) AS first, max(finish) AS last
        FROM refusals GROUP BY client ORDER BY refused DESC, last DESC LIMIT $limit
        """,
        since="24h",
    ),
    Question(
        "user-activity",
        "Everything that one user did, newest first.",
        """
        SELECT time, code, phase, decision, client, method, coalesce(page, path, text) AS what, reason, status,
               file, request
        FROM events WHERE {asked}
        ORDER BY time DESC, log, sequence DESC LIMIT $limit
        """,
        needs="user",
    ),
    Question(
        "top-paths",
        "What is asked for most: paths by requests, with refusals, users and bytes.",
        """
        SELECT path, count(*) FILTER (phase = 'decision') AS requests,
               count(*) FILTER (phase = 'decision' AND decision = 'denied') AS refused,
               approx_count_distinct("user") AS users, sum(bytes_out)::BIGINT AS bytes_out
        FROM events WHERE path IS NOT NULL AND phase IN ('decision', 'outcome') AND {asked}
        GROUP BY path ORDER BY requests DESC, path LIMIT $limit
        """,
        since="24h",
    ),
    Question(
        "hours",
        "How much happened each hour: allowed and refused requests, errors.",
        """
        SELECT date_trunc('hour', time) AS hour, count(*) AS events,
               count(*) FILTER (phase = 'decision' AND decision = 'allowed') AS allowed,
               count(*) FILTER (phase = 'decision' AND decision = 'denied') AS refused,
               count(*) FILTER (severity >= 3) AS alarming
        FROM events WHERE {asked}
        GROUP BY hour ORDER BY hour DESC LIMIT $limit
        """,
        since="24h",
    ),
    Question(
        "new-clients",
        "Addresses from which a user had never come before.",
        """
        SELECT "user", client, min(time) AS first, max(time) AS last, count(*) AS requests
        FROM events WHERE phase = 'decision' AND "user" IS NOT NULL AND client IS NOT NULL AND time < $until AND {terms}
        GROUP BY "user", client HAVING min(time) >= $since
        ORDER BY first DESC, "user", client LIMIT $limit
        """,
    ),
    Question(
        "off-hours",
        "Access at night and at weekends: outside Monday to Friday, 7 to 19 h, in the zone of --zone.",
        # Zones differ by whole quarters of an hour. To know the time there for each quarter is much less work than for
        # each event.
        """
        WITH quarters AS (
            SELECT "user", time_bucket(INTERVAL 15 MINUTE, time) AS quarter, count(*) AS admitted,
                   min(time) AS begin, max(time) AS finish
            FROM events WHERE phase = 'decision' AND decision = 'allowed' AND {asked} GROUP BY "user", quarter
        ), theirs AS (
            SELECT *, timezone($zone, timezone('UTC', quarter)) AS there FROM quarters
        )
        SELECT "user", sum(admitted)::BIGINT AS requests, count(DISTINCT CAST(there AS DATE)) AS days,
               min(begin) AS first, max(finish) AS last
        FROM theirs WHERE isodow(there) > 5 OR hour(there) NOT BETWEEN 7 AND 18
        GROUP BY "user" ORDER BY requests DESC, last DESC LIMIT $limit
        """,
    ),
    Question(
        "large-downloads",
        "The largest files that have left, and who has them.",
        """
        SELECT time, "user", client, file, file_size, file_type, sha256, log, sequence
        FROM events WHERE code = 'file.download' AND decision = 'allowed' AND {asked}
        ORDER BY file_size DESC, time DESC LIMIT $limit
        """,
    ),
    Question(
        "script-errors",
        "Which scripts raise: exceptions by page, each place counted.",
        """
        SELECT page, json_extract_string(details, '$.exception') AS exception,
               json_extract_string(details, '$.frames') AS place, count(*) AS errors,
               count(DISTINCT "user") AS users, min(time) AS first, max(time) AS last
        FROM events WHERE code = 'script.error' AND {asked}
        GROUP BY ALL ORDER BY errors DESC, last DESC LIMIT $limit
        """,
    ),
    Question(
        "record-trouble",
        "Where the record itself had trouble: events refused or lost, torn ends, a disk that failed, a clock set back.",
        """
        SELECT time, log, sequence, code, severity, text, details
        FROM events WHERE (starts_with(code, 'audit.') OR code IN ('csp.suppressed', 'gateway.degraded'))
             AND phase = 'lifecycle' AND code NOT IN ('audit.start', 'audit.stop', 'audit.heartbeat') AND {asked}
        ORDER BY time DESC, log, sequence DESC LIMIT $limit
        """,
        since="30d",
    ),
    Question(
        "changes",
        "What was changed, and who has asked the record: policy revisions, acts of administrators, queries, exports.",
        """
        SELECT time, code, "user", client, text, revision, failed, details
        FROM events WHERE phase IN ('change', 'admin', 'lifecycle')
             AND (phase <> 'lifecycle' OR starts_with(code, 'policy.')) AND {asked}
        ORDER BY time DESC, log, sequence DESC LIMIT $limit
        """,
        since="30d",
    ),
    Question(
        "csp-findings",
        "What browsers refused to load, by page: findings of the Content-Security-Policy.",
        """
        SELECT page, text AS finding, sum(reports)::BIGINT AS reports, count(DISTINCT session) AS sessions,
               min(time) AS first, max(time) AS last
        FROM events WHERE code = 'csp.violation' AND {asked}
        GROUP BY page, text ORDER BY reports DESC, last DESC LIMIT $limit
        """,
    ),
    Question(
        "refused-messages",
        "What was refused inside open sockets: messages and pages that the policy does not let in.",
        """
        SELECT "user", client, message, page, reason, rule, count(*) AS refused, min(time) AS first, max(time) AS last
        FROM events WHERE code IN ('ws.message', 'ws.lease') AND decision = 'denied' AND {asked}
        GROUP BY ALL ORDER BY refused DESC, last DESC LIMIT $limit
        """,
    ),
    Question(
        "slowest-pages",
        "Which pages make visitors wait: the longest runs of their scripts, in ms.",
        """
        SELECT page, sum(runs)::BIGINT AS runs, round(sum(run_ms) / sum(runs))::BIGINT AS mean_ms,
               approx_quantile(longest_run_ms, 0.95) AS p95_longest_ms, max(longest_run_ms) AS longest_ms
        FROM events WHERE code = 'socket.activity' AND runs > 0 AND {asked}
        GROUP BY page ORDER BY p95_longest_ms DESC NULLS LAST, page LIMIT $limit
        """,
        since="24h",
    ),
)

BY_NAME: Final = {question.name: question for question in QUESTIONS}
