"""Prompts: what each operator shows a model (`build`), what of the checks may be shown (`redact`), and how a model's
text is read (`parse`). Pure; must not know how a model is called or what is stored."""
