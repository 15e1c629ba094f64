"""Where jobs run: every process of Redraft. Imports `tasks`, never the other way."""
