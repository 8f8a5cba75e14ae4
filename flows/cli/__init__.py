"""The commands of a person: each parses, calls and prints.

What belongs here: the app, and one module per command, named as the command and loaded when it is
asked for. What does not: anything that another room needs. Nothing imports this room.
"""
