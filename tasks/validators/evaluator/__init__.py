"""What lies beside an evaluator in the sandbox, for it to import. Must not import anything of Redraft."""
