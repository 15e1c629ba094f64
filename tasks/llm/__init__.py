"""Models: the chat client, the guard over its stream, the scripted twin. The only room that knows openai."""
