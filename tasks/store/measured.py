"""Which jobs have a score, in SQL."""

# Of a job j: whether a check of kind score measures its answers, so that one without a value is invalid.
MEASURED = """jsonb_path_exists(j.checks, '$[*].kind ? (@ == "score")')"""
