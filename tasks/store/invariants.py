"""What must be true of the database at every moment, whatever has been killed: each invariant is one query that
finds its breaches. Read-only; knows nothing of its callers (the soak, the doctor, a test).

The numbers are the design's: I1 nothing is lost, I2 nothing is committed twice, I3 no stale epoch commits, I4 faults
change nothing, I5 no budget is passed, I6 nothing is sent to the cloud twice. The others are the loop's own promises:
what an answer and an acceptance rest on. The run without faults, of which I4 speaks, is not in the database: here it is
that what is kept follows from what was kept before, as in a run without faults it must.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text

from tasks.store.batches import RESERVED
from tasks.store.leases import FINAL
from tasks.store.session import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """A promise. `query` gives a row (job, what) for each breach."""

    name: str
    promise: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One broken promise: of which invariant, on which job, and how."""

    invariant: str
    job: int
    what: str


# The calls that make candidates, or inputs to compare them. Others (judges, lessons) may come after their iteration
# was recorded.
_MAKERS = "('draft', 'review', 'revise', 'restart', 'aggregate', 'synthesise', 'mutate', 'edit', 'escalate', 'inputs')"
_FINAL = f"({FINAL})"
# Of a job j with a score: its deciding check, the sign by which the greater is the better, and what it wants.
_GOAL = """LEFT JOIN LATERAL (
                SELECT c.value ->> 'name' AS name,
                       CASE c.value #>> '{value,goal}' WHEN 'minimise' THEN -1 ELSE 1 END AS sign,
                       (c.value #>> '{value,target}')::float AS target,
                       coalesce((c.value #>> '{value,noise}')::float, 0) AS noise
                FROM jsonb_array_elements(j.checks) WITH ORDINALITY AS c(value, place)
                WHERE c.value ->> 'kind' = 'score'
                ORDER BY (c.value ->> 'held_out')::boolean DESC, place LIMIT 1) g ON true"""

INVARIANTS = (
    Invariant(
        name="I1 no job is stranded",
        promise="a job that is neither final nor paused nor needs input, or owes its lesson, is held or can be "
        "claimed; no other can",
        query=f"""
            SELECT j.id AS job, 'state ' || j.state || ', but nobody holds it and nobody may claim it' AS what
            FROM jobs j LEFT JOIN leases l ON l.job_id = j.id
            WHERE j.state IN ('queued', 'running') AND (l.job_id IS NULL OR (l.worker IS NULL AND NOT l.runnable))
            UNION ALL
            SELECT j.id, 'state ' || j.state || ', but it can still be claimed'
            FROM jobs j JOIN leases l ON l.job_id = j.id
            WHERE (j.state IN {_FINAL} OR j.state IN ('paused', 'needs_input')) AND l.runnable AND NOT j.lesson_due
            UNION ALL
            SELECT j.id, 'state ' || j.state || ', and owes a lesson that nobody may make'
            FROM jobs j JOIN leases l ON l.job_id = j.id
            WHERE j.lesson_due AND (j.state NOT IN {_FINAL} OR (l.worker IS NULL AND NOT l.runnable))
            UNION ALL
            SELECT j.id, 'state ' || j.state || ', but ' || l.worker || ' holds it'
            FROM jobs j JOIN leases l ON l.job_id = j.id
            WHERE j.state IN ('paused', 'needs_input') AND l.worker IS NOT NULL""",
    ),
    Invariant(
        name="I2 nothing is committed twice",
        promise="one call that counts for each (job, iteration, operator, slot, step, check, vote, attempt); an "
        "escalation always counts",
        query="""
            SELECT job_id AS job,
                   format('call %s/%s/%s/%s is there %s times', iteration, operator, slot, attempt, count(*)) AS what
            FROM calls WHERE set_aside = 0
            GROUP BY job_id, iteration, operator, slot, step, check_name, vote, attempt HAVING count(*) > 1
            UNION ALL
            SELECT job_id, format('call %s is an escalation, and set aside', id)
            FROM calls WHERE set_aside <> 0 AND operator = 'escalate'""",
    ),
    Invariant(
        name="I2 iterations have no gap",
        promise="a job's recorded iterations are 1 to `jobs.iterations`, and only the next may be open",
        query="""
            SELECT j.id AS job, format('%s iterations are counted, %s are recorded, the highest is %s',
                                       j.iterations, i.recorded, i.highest) AS what
            FROM jobs j JOIN (
                SELECT job_id, count(*) FILTER (WHERE finished_at IS NOT NULL) AS recorded, max(number) AS highest,
                       coalesce(max(number) FILTER (WHERE finished_at IS NOT NULL), 0) AS last, count(*) AS known
                FROM iterations GROUP BY job_id) i ON i.job_id = j.id
            WHERE i.recorded <> j.iterations OR i.last <> j.iterations OR i.highest <> i.known
               OR i.highest > j.iterations + 1""",
    ),
    Invariant(
        name="I2 candidates come from the journal",
        promise="each candidate is the text of the last journalled call of its slot, or its parent with the edits of "
        "that call; one that is checked again is that of before; one that the owner gave is that of the job; one "
        "that a fork began with is that of the job it was forked from",
        query=f"""
            SELECT k.job_id AS job,
                   format('candidate %s.%s is not what the journal holds', k.iteration, k.slot) AS what
            FROM candidates k JOIN jobs j ON j.id = k.job_id LEFT JOIN LATERAL (
                SELECT c.text FROM calls c WHERE c.job_id = k.job_id AND c.iteration = k.iteration AND c.slot = k.slot
                  AND c.operator = k.operator AND c.set_aside = 0 ORDER BY c.attempt DESC LIMIT 1) answer ON true
            WHERE k.operator IN {_MAKERS}
              AND CASE k.operator WHEN 'edit' THEN answer.text IS NULL ELSE answer.text IS DISTINCT FROM k.text END
              AND k.iteration > coalesce(j.forked_iteration, 0)
            UNION ALL
            SELECT k.job_id, format('candidate %s.%s is not the one that was to be checked again', k.iteration, k.slot)
            FROM candidates k JOIN iterations i ON i.job_id = k.job_id AND i.number = k.iteration
            LEFT JOIN candidates o ON o.job_id = k.job_id
              AND o.iteration = (i.move #>> ARRAY['parents', k.slot::text, '0'])::integer
              AND o.slot = (i.move #>> ARRAY['parents', k.slot::text, '1'])::integer
            WHERE k.operator = 'recheck' AND o.text IS DISTINCT FROM k.text
            UNION ALL
            SELECT k.job_id, format('candidate %s.%s is not the answer that the job begins with', k.iteration, k.slot)
            FROM candidates k JOIN jobs j ON j.id = k.job_id WHERE k.operator = 'start' AND k.text <> j.start
            UNION ALL
            SELECT k.job_id, format('candidate %s.%s is not that of job %s', k.iteration, k.slot, j.forked_from)
            FROM candidates k JOIN jobs j ON j.id = k.job_id LEFT JOIN candidates o
              ON o.job_id = j.forked_from AND o.iteration = k.iteration AND o.slot = k.slot
            WHERE k.iteration <= j.forked_iteration
              AND (o.text, o.operator, o.score, o.fitness) IS DISTINCT FROM (k.text, k.operator, k.score, k.fitness)""",
    ),
    Invariant(
        name="I3 epochs never go back",
        promise="what is written for a job bears epochs that only rise, each of them given by a claim",
        query=f"""
            SELECT job_id AS job, format('call %s has epoch %s after epoch %s', id, epoch, before) AS what FROM (
                SELECT id, job_id, epoch, max(epoch) OVER (PARTITION BY job_id ORDER BY id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM calls) c WHERE epoch < before
            UNION ALL
            SELECT job_id, format('iteration %s has epoch %s after epoch %s', number, epoch, before) FROM (
                SELECT job_id, number, epoch, max(epoch) OVER (PARTITION BY job_id ORDER BY number
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
                FROM iterations WHERE epoch IS NOT NULL) i WHERE epoch < before
            UNION ALL
            SELECT i.job_id, format('iteration %s was recorded with epoch %s, and holds work of epoch %s',
                                    i.number, i.epoch, greatest(c.epoch, v.epoch))
            FROM iterations i
            LEFT JOIN LATERAL (SELECT max(epoch) AS epoch FROM calls c WHERE c.job_id = i.job_id
                AND c.iteration = i.number AND c.operator IN {_MAKERS}) c ON true
            LEFT JOIN LATERAL (SELECT max(epoch) AS epoch FROM verdicts v WHERE v.job_id = i.job_id
                AND v.iteration = i.number) v ON true
            WHERE greatest(c.epoch, v.epoch) > i.epoch
            UNION ALL
            SELECT i.job_id, format('iteration %s holds work of epoch %s, but %s was recorded with epoch %s',
                                    i.number, least(c.epoch, v.epoch), b.number, b.epoch)
            FROM iterations i JOIN iterations b ON b.job_id = i.job_id AND b.number = i.number - 1
            LEFT JOIN LATERAL (SELECT min(epoch) AS epoch FROM calls c WHERE c.job_id = i.job_id
                AND c.iteration = i.number AND c.operator IN {_MAKERS}) c ON true
            LEFT JOIN LATERAL (SELECT min(epoch) AS epoch FROM verdicts v WHERE v.job_id = i.job_id
                AND v.iteration = i.number) v ON true
            WHERE least(c.epoch, v.epoch) < b.epoch
            UNION ALL
            SELECT l.job_id, format('work of epoch %s, but the last claim gave %s', w.epoch, l.epoch)
            FROM leases l JOIN (
                SELECT job_id, max(epoch) AS epoch FROM (
                    SELECT job_id, epoch FROM calls UNION ALL SELECT job_id, epoch FROM verdicts
                    UNION ALL SELECT job_id, epoch FROM iterations UNION ALL SELECT job_id, epoch FROM escalations
                    UNION ALL SELECT job_id, epoch FROM reservations) every GROUP BY job_id) w ON w.job_id = l.job_id
            WHERE w.epoch > l.epoch""",
    ),
    Invariant(
        name="I4 no answer is to another question",
        promise="each journalled answer is used for the prompt that it answers",
        query="""
            SELECT id AS job, 'it ended for it: ' || stop_detail AS what FROM jobs WHERE stop_code = 'journal_mismatch'
            UNION ALL
            SELECT id, 'its lesson was abandoned for it' FROM jobs WHERE lesson_stop_code = 'journal_mismatch'""",
    ),
    Invariant(
        name="an end has a code",
        promise="a job that has ended has a stop code, and no other has one",
        query=f"""
            SELECT id AS job, format('state %s with the stop code %s', state, coalesce(stop_code, '(none)')) AS what
            FROM jobs WHERE (state IN {_FINAL}) <> (stop_code IS NOT NULL)""",
    ),
    Invariant(
        name="I4 a score follows from the verdicts",
        promise="the score, fitness and acceptance of a candidate that the job's checks of now have judged are what "
        "its verdicts say",
        query=f"""
            SELECT k.job_id AS job,
                   format('candidate %s.%s: score %s, fitness %s, accepted %s; its verdicts say %s, %s',
                          k.iteration, k.slot, k.score, k.fitness, k.accepted, v.score, v.valid) AS what
            FROM candidates k JOIN jobs j ON j.id = k.job_id CROSS JOIN LATERAL (
                SELECT coalesce(bool_and(coalesce(v.passed, false)), false) AS valid, coalesce(avg(CASE
                           WHEN v.passed IS NULL THEN 0 WHEN (c.value ->> 'held_out')::boolean THEN v.passed::integer
                           ELSE least(1, greatest(0, v.score)) END), 0) AS score
                FROM jsonb_array_elements(j.checks) AS c(value) LEFT JOIN verdicts v ON v.job_id = k.job_id
                  AND v.iteration = k.iteration AND v.slot = k.slot AND v.check_name = c.value ->> 'name') v
            {_GOAL} LEFT JOIN verdicts d ON d.job_id = k.job_id AND d.iteration = k.iteration AND d.slot = k.slot
              AND d.check_name = g.name
            WHERE k.checked AND k.iteration >= j.checks_since AND (abs(k.score - v.score) > 1e-9
               OR k.accepted <> (v.valid AND (g.target IS NULL
                                 OR coalesce(d.value * g.sign >= g.target * g.sign, false)))
               OR k.fitness IS DISTINCT FROM CASE WHEN v.valid THEN d.value * g.sign END
               OR k.value IS DISTINCT FROM CASE WHEN v.valid THEN d.value END)""",
    ),
    Invariant(
        name="I4 a move follows from the decision",
        promise="each recorded decision is the move that followed or the end that came; only a retry goes on after "
        "one, and what follows a question or a change of the checks is decided with it",
        query="""
            WITH decided AS (
                SELECT i.job_id, i.number, i.operator, i.decision, i.next_operator, i.stop_code, j.state,
                       j.iterations, j.stop_code AS ended, j.retries > 0 AS retried
                FROM iterations i JOIN jobs j ON j.id = i.job_id
                WHERE i.finished_at IS NOT NULL AND i.number > coalesce(j.forked_iteration, 0))
            SELECT d.job_id AS job,
                   format('iteration %s decided %L, and %s is a %s', d.number, d.decision, n.number, n.operator) AS what
            FROM decided d JOIN iterations n ON n.job_id = d.job_id AND n.number = d.number + 1
            WHERE d.operator <> 'ask' AND d.next_operator IS DISTINCT FROM n.operator
              AND NOT EXISTS (SELECT 1 FROM edits e WHERE e.job_id = d.job_id AND e.iteration = n.number
                              AND e.checks IS NOT NULL)
              AND NOT (d.stop_code IS NOT NULL AND d.retried)
            UNION ALL
            SELECT job_id, format('iteration %s decided %L, and the job is %s', number, decision, state) FROM decided
            WHERE number = iterations AND ((state = 'accepted') <> coalesce(stop_code = 'accepted', false)
               OR (stop_code <> 'accepted' AND ended IS DISTINCT FROM stop_code AND NOT retried))""",
    ),
    Invariant(
        name="I5 no budget is passed",
        promise="a job's tokens, US dollars and iterations stay within its budget, but for what calls used above "
        "their reservations",
        query="""
            SELECT id AS job, format('%s of %s tokens, %s of %s USD, %s of %s iterations', local_tokens + cloud_tokens,
                   budget_tokens, spent_usd, budget_usd, iterations, budget_iterations) AS what
            FROM jobs WHERE local_tokens - over_local_tokens + cloud_tokens - over_cloud_tokens > budget_tokens
                         OR spent_usd - over_usd > budget_usd OR iterations > budget_iterations
                         OR local_tokens - over_local_tokens > budget_local_tokens
                         OR cloud_tokens - over_cloud_tokens > budget_cloud_tokens
            UNION ALL
            SELECT j.id, format('%s of %s completion tokens', sum(c.completion_tokens), j.budget_completion_tokens)
            FROM jobs j JOIN calls c ON c.job_id = j.id AND c.operator <> 'escalate'
            GROUP BY j.id HAVING sum(c.completion_tokens) - j.over_local_tokens > j.budget_completion_tokens
            UNION ALL
            SELECT j.id, format('%s of %s evaluations', count(DISTINCT (v.iteration, v.slot)), j.budget_evaluations)
            FROM jobs j JOIN verdicts v ON v.job_id = j.id
            GROUP BY j.id HAVING count(DISTINCT (v.iteration, v.slot)) > j.budget_evaluations""",
    ),
    Invariant(
        name="I5 what passes a reservation is known",
        promise="what a job's escalations cost above their reservations is what it is kept to have, and part of its "
        "spend",
        query="""
            SELECT j.id AS job, format('%s USD are kept as above reservations; its escalations have %s', j.over_usd,
                                       coalesce(e.over, 0)) AS what
            FROM jobs j LEFT JOIN (
                SELECT job_id, sum(greatest(0, usd - reserved_usd)) AS over FROM escalations
                WHERE finished_at IS NOT NULL GROUP BY job_id) e ON e.job_id = j.id
            WHERE j.over_usd <> coalesce(e.over, 0)
            UNION ALL
            SELECT id, format('%s and %s tokens are kept as above reservations, of %s and %s', over_local_tokens,
                              over_cloud_tokens, local_tokens, cloud_tokens)
            FROM jobs WHERE over_local_tokens NOT BETWEEN 0 AND local_tokens
                         OR over_cloud_tokens NOT BETWEEN 0 AND cloud_tokens""",
    ),
    Invariant(
        name="I5 spend is the sum of the calls",
        promise="what a job is charged is what its journalled calls used",
        query="""
            SELECT j.id AS job,
                   format('charged are %s local tokens, %s cloud tokens, %s USD; its calls used %s, %s, %s',
                          j.local_tokens, j.cloud_tokens, j.spent_usd, c.local, c.cloud, c.usd) AS what
            FROM jobs j LEFT JOIN LATERAL (
                SELECT coalesce(sum(prompt_tokens + completion_tokens) FILTER (WHERE operator <> 'escalate'), 0)
                         AS local,
                       coalesce(sum(prompt_tokens + completion_tokens) FILTER (WHERE operator = 'escalate'), 0)
                         AS cloud,
                       coalesce(sum(usd), 0) AS usd FROM calls WHERE job_id = j.id) c ON true
            WHERE c.local <> j.local_tokens OR c.cloud <> j.cloud_tokens OR c.usd <> j.spent_usd""",
    ),
    Invariant(
        name="I5 what is reserved fits too",
        promise="a job stays within its budget even if every call in flight and open escalation costs all it may",
        query="""
            SELECT j.id AS job, format('%s tokens are used and %s reserved of %s', j.local_tokens + j.cloud_tokens,
                                       r.tokens, j.budget_tokens) AS what
            FROM jobs j JOIN (SELECT job_id, sum(tokens) AS tokens FROM reservations GROUP BY job_id) r
              ON r.job_id = j.id
            WHERE j.local_tokens - j.over_local_tokens + j.cloud_tokens - j.over_cloud_tokens + r.tokens
                  > j.budget_tokens
            UNION ALL
            SELECT j.id, format('%s USD are spent and %s reserved of %s', j.spent_usd, e.usd, j.budget_usd)
            FROM jobs j JOIN LATERAL (
                SELECT sum(reserved_usd) AS usd FROM escalations
                WHERE job_id = j.id AND finished_at IS NULL) e ON true
            WHERE j.spent_usd - j.over_usd + e.usd > j.budget_usd""",
    ),
    Invariant(
        name="I5 a batch is charged what its jobs are",
        promise="what a batch has spent is what its jobs are charged, and stays within its budget with all that calls "
        "in flight and open escalations may cost, but for what calls used above their reservations",
        query=f"""
            SELECT j.first AS job, format('batch %s has spent %s tokens and %s USD; its jobs %s and %s', b.id, b.tokens,
                                          b.usd, j.tokens, j.usd) AS what
            FROM batches b JOIN LATERAL (
                SELECT min(id) AS first, sum(local_tokens + cloud_tokens) AS tokens, sum(spent_usd) AS usd
                FROM jobs WHERE batch_id = b.id) j ON j.first IS NOT NULL
            WHERE (b.tokens, b.usd) <> (j.tokens, j.usd)
            UNION ALL
            SELECT (SELECT min(id) FROM jobs WHERE batch_id = b.id),
                   format('batch %s has spent %s of %s tokens and %s of %s USD, and reserved %s and %s', b.id, b.tokens,
                          b.budget_tokens, b.usd, b.budget_usd, r.tokens, r.usd)
            FROM batches b CROSS JOIN LATERAL ({RESERVED.format(batch="b.id")}) r CROSS JOIN LATERAL (
                SELECT coalesce(sum(over_local_tokens + over_cloud_tokens), 0) AS tokens,
                       coalesce(sum(over_usd), 0) AS usd FROM jobs WHERE batch_id = b.id) o
            WHERE b.tokens - o.tokens + r.tokens > b.budget_tokens OR b.usd - o.usd + r.usd > b.budget_usd""",
    ),
    Invariant(
        name="I6 one decision is at most one request",
        promise="an escalation has one row, at most one id of its own, and an id wherever the cloud has answered; one "
        "of which nobody knows is charged in full, until the operator settles it",
        query="""
            SELECT job_id AS job,
                   format('iteration %s has %s escalations', iteration, count(*)) AS what
            FROM escalations GROUP BY job_id, iteration HAVING count(*) > 1
            UNION ALL
            SELECT min(job_id), format('response %s is that of %s escalations', response_id, count(*))
            FROM escalations WHERE response_id IS NOT NULL GROUP BY response_id HAVING count(*) > 1
            UNION ALL
            SELECT job_id, format('escalation %s is %s with the id %s', id, state, coalesce(response_id, '(none)'))
            FROM escalations WHERE (state IN ('running', 'done') AND response_id IS NULL)
                OR (state IN ('intent', 'unsent', 'waiting', 'refused') AND response_id IS NOT NULL)
            UNION ALL
            SELECT job_id, format('escalation %s is unknown and charged %s of %s USD', id, usd, reserved_usd)
            FROM escalations WHERE state = 'unknown' AND coalesce(charged_usd, usd) <> reserved_usd""",
    ),
    Invariant(
        name="what must stay at home stays",
        promise="nothing was sent to the cloud for a job whose egress does not allow that kind of request",
        query="""
            SELECT e.job_id AS job, format('escalation %s for %s, but egress: %s', e.id, e.kind, j.egress) AS what
            FROM escalations e JOIN jobs j ON j.id = e.job_id
            WHERE j.egress <> 'full' AND (j.egress <> 'hint' OR e.kind = 'answer')""",
    ),
    Invariant(
        name="the incumbent is never lost",
        promise="no recorded candidate that was judged by the checks as they are now is better than a job's answer, by "
        "more than the noise of its score where it has one, and the answer is that candidate's text",
        query=f"""
            SELECT j.id AS job, format('the answer scores %s, a recorded candidate %s', j.score, k.score) AS what
            FROM jobs j JOIN LATERAL (
                SELECT max(k.score) AS score, max(k.fitness) AS fitness
                FROM candidates k JOIN iterations i ON i.job_id = k.job_id AND i.number = k.iteration
                  AND i.finished_at IS NOT NULL
                WHERE k.job_id = j.id AND k.guard IS NULL AND k.iteration >= j.checks_since) k ON true
            WHERE k.fitness IS NULL AND k.score > coalesce(j.score, -1)
            UNION ALL
            SELECT j.id, format('the answer has fitness %s, recorded candidate %s.%s has %s', a.fitness, k.iteration,
                                k.slot, k.fitness)
            FROM jobs j {_GOAL} JOIN candidates k ON k.job_id = j.id AND k.guard IS NULL AND k.fitness IS NOT NULL
            JOIN iterations i ON i.job_id = k.job_id AND i.number = k.iteration AND i.finished_at IS NOT NULL
            LEFT JOIN candidates a ON a.job_id = j.id AND a.iteration = j.answer_iteration AND a.slot = j.answer_slot
            WHERE k.iteration >= j.checks_since AND (a.fitness IS NULL OR k.fitness > a.fitness + g.noise)
            UNION ALL
            SELECT j.id, format('the answer is not candidate %s.%s', j.answer_iteration, j.answer_slot)
            FROM jobs j LEFT JOIN candidates k ON k.job_id = j.id AND k.iteration = j.answer_iteration
              AND k.slot = j.answer_slot
            WHERE j.answer_iteration IS NOT NULL
              AND ((k.text, k.score, k.value) IS DISTINCT FROM (j.answer, j.score, j.value))""",
    ),
    Invariant(
        name="accepted means every check passed",
        promise="an accepted job's answer has a passed verdict of each of its checks, the held-out ones included",
        query="""
            SELECT j.id AS job,
                   format('check %s has no passed verdict on the accepted answer', c.value ->> 'name') AS what
            FROM jobs j CROSS JOIN LATERAL jsonb_array_elements(j.checks) AS c(value)
            WHERE j.state = 'accepted' AND NOT EXISTS (
                SELECT 1 FROM verdicts v WHERE v.job_id = j.id AND v.iteration = j.answer_iteration
                  AND v.slot = j.answer_slot AND v.check_name = c.value ->> 'name' AND v.passed
                  AND v.held_out = (c.value ->> 'held_out')::boolean)
            UNION ALL
            SELECT id, 'accepted without saying on what it rests'
            FROM jobs WHERE state = 'accepted' AND acceptance IS NULL""",
    ),
    Invariant(
        name="a hint is used once",
        promise="a hint belongs to one iteration from before its first call on, and each prompt of that iteration and "
        "of later ones for which an answer is written holds it",
        query=f"""
            SELECT h.job_id AS job, format('hint %s is of iteration %s, which is not there', h.id, h.iteration) AS what
            FROM hints h WHERE h.iteration IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM iterations i WHERE i.job_id = h.job_id AND i.number = h.iteration)
            UNION ALL
            SELECT h.job_id, format('hint %s came after call %s of its iteration %s', h.id, c.id, h.iteration)
            FROM hints h JOIN calls c ON c.job_id = h.job_id AND c.iteration = h.iteration
            WHERE c.created_at < h.taken_at
            UNION ALL
            SELECT h.job_id, format('call %s of iteration %s was not shown hint %s', c.id, c.iteration, h.id)
            FROM hints h JOIN calls c ON c.job_id = h.job_id AND c.iteration >= h.iteration AND c.set_aside = 0
              AND c.operator IN {_MAKERS} AND c.operator <> 'escalate'
            WHERE NOT c.omissions @> '[{{"block": "advice"}}]' AND NOT EXISTS (
                SELECT 1 FROM jsonb_array_elements(c.request -> 'messages') m
                WHERE strpos(m ->> 'content', h.text) > 0)""",
    ),
    Invariant(
        name="a question is answered once",
        promise="a job needs input exactly while it has an open question, each question is of an iteration that asked, "
        "an answer belongs to one, and no call is made while one is open",
        query="""
            SELECT j.id AS job, format('state %s with %s open questions', j.state, count(q.id)) AS what
            FROM jobs j LEFT JOIN questions q ON q.job_id = j.id AND q.closed_at IS NULL
            GROUP BY j.id HAVING (j.state = 'needs_input') <> (count(q.id) = 1)
            UNION ALL
            SELECT q.job_id, format('question %s is of iteration %s, which did not ask', q.id, q.iteration)
            FROM questions q LEFT JOIN iterations i ON i.job_id = q.job_id AND i.number = q.iteration
              AND i.operator = 'ask' AND i.finished_at IS NOT NULL WHERE i.number IS NULL
            UNION ALL
            SELECT q.job_id, format('question %s has %s answers', q.id, count(*))
            FROM questions q JOIN hints h ON h.job_id = q.job_id AND h.question = q.text
              AND h.created_at BETWEEN q.asked_at AND q.closed_at GROUP BY q.job_id, q.id HAVING count(*) > 1
            UNION ALL
            SELECT q.job_id, format('call %s was made while question %s was open', c.id, q.id)
            FROM questions q JOIN calls c ON c.job_id = q.job_id AND c.created_at > q.asked_at
              AND c.created_at < coalesce(q.closed_at, now())""",
    ),
)


def breaches(database: Database, *, submitted: Collection[int] = (), drained: bool = False) -> tuple[Breach, ...]:
    """Every breach in one snapshot of the database; none is the good answer.

    `submitted` are jobs that must be there; `drained` says that every job should be final by now. The login must
    see the rows of every owner (a worker's or a superuser's). Raises `DatabaseUnavailable`.
    """
    breached: list[Breach] = []
    with database.begin() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        for invariant in INVARIANTS:
            rows = connection.execute(text(invariant.query))
            breached += [Breach(invariant=invariant.name, job=row.job, what=row.what) for row in rows]
        there = {row.id: row.state for row in connection.execute(text("SELECT id, state FROM jobs"))}
    for job in sorted(submitted):
        if job not in there:
            breached.append(Breach(invariant="I1 no job is lost", job=job, what="it was submitted and is not there"))
    if drained:
        for job, state in sorted(there.items()):
            if state in {"queued", "running"}:
                breached.append(Breach(invariant="I1 every job comes to an end", job=job, what=f"it is still {state}"))
    return tuple(breached)
