"""Durable Chat: a server-rendered AI chat in which the session is the durable thing."""

__version__ = "0.1.0"
