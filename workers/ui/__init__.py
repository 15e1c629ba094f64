"""The live page: what `redraft ui` opens. A part of the local stack; reads through the Python client."""
