"""The HTTP skin, one file a resource: reads the request, asks the rules, answers in JSON.

Handlers are plain functions from `Call` to `Answer`; they neither wait nor touch sockets.
"""
