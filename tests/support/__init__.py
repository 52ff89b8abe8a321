"""What the tests share: a real server process, a proxy that breaks connections, small readers, polling."""
